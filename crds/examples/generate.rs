//! Writes everything that is made from the API's types: `cargo run -p headgate-api --example generate`.

use std::{error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for file in headgate_api::generate::files()? {
        let path = root.join(&file.path);
        fs::create_dir_all(path.parent().unwrap_or(&root))?;
        fs::write(path, file.text)?;
    }
    Ok(())
}
