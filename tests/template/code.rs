//! What the code calls and reads, by names: which functions can be reached from a place, which AWS operations they ask for, and which
//! environment variables they read.
//!
//! A name may stand for several functions; then all of them count. So what is found is never too little.

#![expect(clippy::wildcard_enum_match_arm, reason = "the parser knows all of Rust, and most of it is of no interest here")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::TokenStream;
use syn::parse::Parser as _;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Expr, ExprCall, ExprMethodCall, ExprPath, Fields, FnArg, ImplItem, Item, Lit, Macro, Signature, Token, Type, UseTree,
    Visibility,
};

use super::yaml::root;

/// What one function does.
#[derive(Debug, Default, Clone)]
pub(crate) struct Body {
    /// The functions that it calls by path: `["append"]`, `["wiring", "queues"]`.
    pub(crate) paths: BTreeSet<Vec<String>>,
    /// The methods that it calls, each with the last name of what it is called on: `("events", "warm_up")`.
    pub(crate) methods: BTreeSet<(String, String)>,
    /// The paths that it names: `["WorkQueue", "Retry"]`.
    pub(crate) names: BTreeSet<Vec<String>>,
    /// The texts in it.
    pub(crate) texts: BTreeSet<String>,
    /// The file that it is in, by number.
    file: usize,
}

/// A function of the code.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// The trait that it is of, if it is part of an implementation of one.
    pub(crate) of_trait: Option<String>,
    /// The type that it is of, if it is no free function.
    owner: Option<String>,
    /// Whether it is called on something.
    is_method: bool,
    pub(crate) body: Body,
    /// The types of its parameters, as the last names of their paths.
    pub(crate) parameters: Vec<String>,
}

/// A piece of the code: some files.
#[derive(Debug, Default)]
pub(crate) struct Code {
    pub(crate) functions: Vec<Function>,
    /// The types that each field of each struct is made of.
    pub(crate) structs: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// The methods of each trait.
    pub(crate) traits: BTreeMap<String, BTreeSet<String>>,
    files: usize,
    /// By file, the names that it has brought into scope.
    imported: BTreeMap<usize, BTreeSet<String>>,
}

impl Code {
    /// All of the Rust in these files and folders.
    pub(crate) fn read(places: &[&str]) -> Self {
        let mut code = Self::default();
        for place in places {
            code.read_place(&root().join(place));
        }
        assert!(!code.functions.is_empty() || !code.traits.is_empty(), "{places:?} hold nothing");
        code
    }

    fn read_place(&mut self, place: &Path) {
        if place.is_dir() {
            for entry in fs::read_dir(place).unwrap() {
                self.read_place(&entry.unwrap().path());
            }
        } else if place.extension().is_some_and(|extension| extension == "rs") && place.file_stem().is_some_and(|stem| stem != "tests") {
            let text = fs::read_to_string(place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
            let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
            self.files += 1;
            file.items.iter().for_each(|item| self.read_item(item));
        }
    }

    fn read_item(&mut self, item: &Item) {
        match item {
            Item::Fn(function) if !is_for_tests(&function.attrs) => {
                self.add(&function.sig, None, None, |visitor| {
                    visitor.visit_block(&function.block);
                });
            }
            Item::Impl(block) if !is_for_tests(&block.attrs) => {
                let of_trait = block.trait_.as_ref().and_then(|(path, _)| path.segments.last()).map(|segment| segment.ident.to_string());
                for item in &block.items {
                    if let ImplItem::Fn(function) = item {
                        self.add(&function.sig, last_name(&block.self_ty), of_trait.clone(), |visitor| {
                            visitor.visit_block(&function.block);
                        });
                    }
                }
            }
            Item::Mod(module) if !is_for_tests(&module.attrs) => {
                module.content.iter().flat_map(|(_, items)| items).for_each(|item| self.read_item(item));
            }
            Item::Use(item) => self.imported.entry(self.files).or_default().extend(leaves(&item.tree)),
            Item::Struct(item) => {
                if let Fields::Named(fields) = &item.fields {
                    let fields = fields.named.iter().map(|field| {
                        let mut names = Names::default();
                        names.visit_type(&field.ty);
                        (field.ident.as_ref().map(ToString::to_string).unwrap_or_default(), names.0)
                    });
                    self.structs.insert(item.ident.to_string(), fields.collect());
                }
            }
            Item::Trait(item) if matches!(item.vis, Visibility::Public(_)) => {
                let methods = item.items.iter().filter_map(|item| match item {
                    syn::TraitItem::Fn(method) => Some(method.sig.ident.to_string()),
                    _ => None,
                });
                self.traits.insert(item.ident.to_string(), methods.collect());
            }
            _ => {}
        }
    }

    fn add(&mut self, signature: &Signature, owner: Option<String>, of_trait: Option<String>, visit: impl FnOnce(&mut Body)) {
        let mut body = Body { file: self.files, ..Body::default() };
        visit(&mut body);
        let parameters = signature.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(input) => last_name(&input.ty),
            FnArg::Receiver(_) => None,
        });
        let is_method = signature.receiver().is_some();
        self.functions.push(Function {
            name: signature.ident.to_string(),
            of_trait,
            owner,
            is_method,
            body,
            parameters: parameters.collect(),
        });
    }

    /// The functions of this name.
    pub(crate) fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Function> {
        self.functions.iter().filter(move |function| function.name == name)
    }

    /// The bodies that can be reached from some, them included. `follows` says which methods lead on.
    pub(crate) fn reach<'a>(&'a self, from: Vec<&'a Body>, follows: impl Fn(&str, &str) -> bool) -> Vec<&'a Body> {
        let mut seen: BTreeSet<*const Body> = BTreeSet::new();
        let (mut reached, mut next) = (Vec::new(), from);
        while let Some(body) = next.pop() {
            if !seen.insert(std::ptr::from_ref(body)) {
                continue;
            }
            reached.push(body);
            for (_, name) in body.methods.iter().filter(|(on, name)| follows(on, name)) {
                // A method is one of a type that is known in the file.
                let is_known = |owner: &String| {
                    self.imported.get(&body.file).is_some_and(|imported| imported.contains(owner) || imported.contains("*"))
                };
                let fits = |function: &Function| function.body.file == body.file || function.owner.as_ref().is_some_and(is_known);
                next.extend(self.meant(name, body, |function| function.is_method && fits(function)));
            }
            for path in &body.paths {
                next.extend(self.called_by(path, body));
            }
        }
        reached
    }

    /// What a name may mean in a body: what has that name in the same file, or else anywhere.
    fn meant<'a>(&'a self, name: &str, body: &Body, fits: impl Fn(&Function) -> bool) -> Vec<&'a Body> {
        let (here, elsewhere): (Vec<_>, Vec<_>) = self
            .functions
            .iter()
            .filter(|function| function.name == name && fits(function))
            .partition(|function| function.body.file == body.file);
        let meant = if here.is_empty() { elsewhere } else { here };
        meant.into_iter().map(|function| &function.body).collect()
    }

    /// What a path may call. A single name is a function of the same file, or one that is brought into scope there, or a variable.
    fn called_by<'a>(&'a self, path: &[String], body: &Body) -> Vec<&'a Body> {
        match path {
            [name] => {
                let imported = self.imported.get(&body.file).is_some_and(|imported| imported.contains(name));
                self.meant(name, body, |function| function.owner.is_none() && (imported || function.body.file == body.file))
            }
            [.., owner, name] if owner == "Self" => {
                self.meant(name, body, |function| function.owner.is_some() && function.body.file == body.file)
            }
            [.., owner, name] if owner.starts_with(char::is_uppercase) => {
                self.meant(name, body, |function| function.owner.as_ref() == Some(owner))
            }
            [first, .., name] if first != "std" => self.meant(name, body, |function| function.owner.is_none()),
            [..] => Vec::new(),
        }
    }

    /// The traits that a struct has a `dyn` of, each with the names of its fields, also by the structs that it holds.
    pub(crate) fn ports_of(&self, name: &str) -> BTreeMap<String, BTreeSet<String>> {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (field, types) in self.structs.get(name).into_iter().flatten() {
            for kind in types {
                if self.traits.contains_key(kind) {
                    found.entry(kind.clone()).or_default().insert(field.clone());
                }
                for (port, fields) in self.ports_of(kind) {
                    found.entry(port).or_default().extend(fields);
                }
            }
        }
        found
    }
}

/// The names that a `use` brings into scope.
fn leaves(tree: &UseTree) -> Vec<String> {
    match tree {
        UseTree::Path(path) => leaves(&path.tree),
        UseTree::Name(name) => vec![name.ident.to_string()],
        UseTree::Rename(rename) => vec![rename.rename.to_string()],
        UseTree::Glob(_) => vec!["*".to_owned()],
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .any(|attribute| attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test")))
}

fn last_name(kind: &Type) -> Option<String> {
    match kind {
        Type::Reference(reference) => last_name(&reference.elem),
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        _ => None,
    }
}

/// The last names of all types in a type.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl<'ast> Visit<'ast> for Names {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.extend(path.segments.last().map(|segment| segment.ident.to_string()));
        visit::visit_path(self, path);
    }
}

fn segments(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

/// The last name of what a method is called on.
fn receiver(expression: &Expr) -> String {
    match expression {
        Expr::Path(path) => segments(&path.path).pop().unwrap_or_default(),
        Expr::Field(field) => match &field.member {
            syn::Member::Named(name) => name.to_string(),
            syn::Member::Unnamed(_) => String::new(),
        },
        Expr::Reference(reference) => receiver(&reference.expr),
        Expr::Unary(unary) => receiver(&unary.expr),
        Expr::Paren(paren) => receiver(&paren.expr),
        _ => String::new(),
    }
}

impl<'ast> Visit<'ast> for Body {
    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(path) = &*call.func {
            self.paths.insert(segments(&path.path));
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        self.methods.insert((receiver(&call.receiver), call.method.to_string()));
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_path(&mut self, path: &'ast ExprPath) {
        let names = segments(&path.path);
        // A function may be handed over instead of being called. A single name is taken for a variable.
        if names.len() > 1 {
            self.paths.insert(names.clone());
        }
        self.names.insert(names);
        visit::visit_expr_path(self, path);
    }

    fn visit_lit(&mut self, literal: &'ast Lit) {
        if let Lit::Str(text) = literal {
            self.texts.insert(text.value());
        }
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.visit_tokens(call.tokens.clone());
    }
}

impl Body {
    /// Looks into the arguments of a macro, as far as they are expressions.
    fn visit_tokens(&mut self, tokens: TokenStream) {
        let arguments = Punctuated::<Expr, Token![,]>::parse_terminated;
        if let Ok(arguments) = arguments.parse2(tokens) {
            for argument in &arguments {
                // They live no longer than this, so what is found is copied.
                let mut body = Self::default();
                body.visit_expr(argument);
                self.paths.extend(body.paths);
                self.methods.extend(body.methods);
                self.names.extend(body.names);
                self.texts.extend(body.texts);
            }
        }
    }
}
