//! The files of the repository that checks read.

use std::path::Path;

use crate::CheckError;

/// A file's path from the repository's root, with `/`, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    #[cfg(test)]
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }
}

/// Every file below `root` whose name `wanted` accepts, by path; build output and hidden folders apart.
pub(crate) fn files(root: &Path, wanted: fn(&str) -> bool) -> Result<Vec<SourceFile>, CheckError> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let unreadable = |source| CheckError::Unreadable { path: folder.clone(), source };
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // `file_type` does not follow links, so there are no circles.
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(entry.path());
            } else if kind.is_file() && wanted(&name) {
                found.push(file(root, &entry.path())?);
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Every Rust file below `root`.
pub(crate) fn rust_files(root: &Path) -> Result<Vec<SourceFile>, CheckError> {
    files(root, |name| Path::new(name).extension().is_some_and(|extension| extension == "rs"))
}

/// One file's text.
pub(crate) fn read(path: &Path) -> Result<String, CheckError> {
    std::fs::read_to_string(path).map_err(|source| CheckError::Unreadable { path: path.to_owned(), source })
}

fn file(root: &Path, path: &Path) -> Result<SourceFile, CheckError> {
    let text = read(path)?;
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
    Ok(SourceFile { path: parts.join("/"), text })
}
