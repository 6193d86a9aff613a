//! The development key: made at the first start, kept beside the data, good for everything.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use shared::domain::access::{ApiKey, ApiKeySecret, Scope};
use shared::ports::clock::Clock;
use shared::ports::key_store::KeyStore;
use shared::ports::random::Random;
use shared::ports::store_error::StoreError;

/// The file's name, in the folder of the data.
pub const FILE: &str = "dev-key";

/// The key could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum DevKeyError {
    /// The file cannot be read or written.
    #[error("the development key cannot be kept in {file}")]
    File {
        /// Which file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The store failed.
    #[error("the development key cannot be stored")]
    Store(#[from] StoreError),
}

/// Reads the key, or makes one, and makes sure that the store knows it.
///
/// # Errors
/// [`DevKeyError`] if the file or the store fails.
pub async fn ensure(folder: &Path, keys: &dyn KeyStore, clock: &dyn Clock, random: &dyn Random) -> Result<ApiKeySecret, DevKeyError> {
    let file = folder.join(FILE);
    let failed = |source: io::Error| DevKeyError::File { file: file.display().to_string(), source };
    let secret = match fs::read_to_string(&file) {
        Ok(text) => ApiKeySecret::new(text.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = ApiKeySecret::from_random(random.secret());
            fs::create_dir_all(folder).map_err(failed)?;
            write_privately(&file, secret.reveal()).map_err(failed)?;
            secret
        }
        Err(error) => return Err(failed(error)),
    };
    if keys.key(&secret.digest()).await?.is_none() {
        let key = ApiKey {
            digest: secret.digest(),
            name: "development".to_owned(),
            scopes: Scope::ALL.to_vec(),
            organization: None,
            created_at: clock.now(),
            expires_at: None,
        };
        keys.put_key(&key).await?;
    }
    Ok(secret)
}

/// Writes a file that only its owner can read.
fn write_privately(file: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    writeln!(options.open(file)?, "{text}")
}
