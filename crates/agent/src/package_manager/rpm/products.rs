//! What a SUSE system is made of: its product, modules and extensions, as `/etc/products.d` lists them.

use std::collections::BTreeMap;

use crate::root::Root;
use catalog::xml::{self, Piece};

const FOLDER: &str = "/etc/products.d";
/// Points to the file of the product that the system is.
const BASE: &str = "baseproduct";

/// Tags that say so: `products`, and the `service-pack` of the system's own.
pub fn tags(root: &Root) -> BTreeMap<String, String> {
    let read = |name: &str| Product::parse(&root.read_text(&format!("{FOLDER}/{name}"), &mut Vec::new())?);
    let files = root.list_names(FOLDER, &mut Vec::new()).into_iter().filter(|name| name.strip_suffix(".prod").is_some());
    let products: Vec<_> = files.filter_map(|name| read(&name)).map(|product| format!("{} {}", product.name, product.version)).collect();
    let service_pack = read(BASE).map(|product| product.service_pack).unwrap_or_default();
    let tags = [("products", products.join(", ")), ("service-pack", service_pack)];
    tags.into_iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| (key.to_owned(), value)).collect()
}

#[derive(Default)]
struct Product {
    name: String,
    version: String,
    service_pack: String,
}

impl Product {
    fn parse(text: &str) -> Option<Self> {
        let mut product = Self::default();
        let mut depth = 0;
        xml::walk(text.as_bytes(), |piece| match piece {
            Piece::Start(_) => depth += 1,
            Piece::End(name, text) => {
                // Elements further down, such as those of `register`, have these names too.
                let field = match name {
                    "name" => Some(&mut product.name),
                    "version" => Some(&mut product.version),
                    "patchlevel" => Some(&mut product.service_pack),
                    _ => None,
                };
                if let Some(field) = field.filter(|_| depth == 2) {
                    text.clone_into(field);
                }
                depth -= 1;
            }
        })
        .ok()?;
        (!product.name.is_empty()).then_some(product)
    }
}

#[cfg(test)]
mod tests {
    use super::tags;
    use crate::root::Root;

    #[test]
    fn products_and_the_service_pack_are_tags() {
        let folder = testkit::folder();
        let root = Root::new(folder.path());
        assert!(tags(&root).is_empty());
        let at = |name: &str| folder.path().join("etc/products.d").join(name);
        std::fs::create_dir_all(at("")).unwrap();
        let product = |name: &str| {
            format!(
                "<?xml version=\"1.0\"?><product schemeversion=\"0\"><vendor>SUSE</vendor><name>{name}</name><version>15.6</version><baseversion>15</baseversion><patchlevel>6</patchlevel><register><updates><repository name=\"x\"/></updates><version>7</version></register></product>"
            )
        };
        std::fs::write(at("SLES.prod"), product("SLES")).unwrap();
        std::fs::write(at("sle-module-basesystem.prod"), product("sle-module-basesystem")).unwrap();
        std::fs::write(at("broken.prod"), "<product><name>x").unwrap();
        std::os::unix::fs::symlink("SLES.prod", at("baseproduct")).unwrap();
        let tags: Vec<_> = tags(&root).into_iter().collect();
        assert_eq!(tags, [("products".to_owned(), "SLES 15.6, sle-module-basesystem 15.6".to_owned()), ("service-pack".to_owned(), "6".to_owned())]);
    }
}
