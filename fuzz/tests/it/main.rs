//! The seeds of the fuzz targets, replayed: what they hold is true of every ordinary build too, and a seed that no
//! longer gets behind its door is noticed.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use genimage_fuzz::TARGETS;

fn seeds(target: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("corpus").join(target)];
    let list = fs::read_to_string(root.join("seeds")).unwrap();
    let more = list.lines().filter_map(|line| line.strip_prefix(target)?.strip_prefix(' '));
    folders.extend(more.map(|folder| root.join("..").join(folder)));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten());
    files.map(|file| file.unwrap().path()).filter(|path| path.is_file()).collect()
}

#[test]
fn every_seed_keeps_its_promises() {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has seeds");
        for seed in seeds {
            println!("{name}: {}", seed.display());
            target(&fs::read(&seed).unwrap());
        }
    }
}
