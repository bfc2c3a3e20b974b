//! The files of a double: uploaded inputs, outputs and temporary pictures, all in memory.
//!
//! Owns names, counters and the path rules. Never touches a disk. Bounded: beyond [`MAX_STORED_BYTES`] the oldest
//! outputs vanish (as if somebody had cleaned up).

use std::collections::{HashMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::state::wall_clock;

/// Bytes of outputs and temporary files kept.
const MAX_STORED_BYTES: usize = 512 << 20;
/// Longest file name a file system takes.
const MAX_NAME_BYTES: usize = 255;

/// The three folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Folder {
    Input,
    Output,
    Temp,
}

impl Folder {
    pub(crate) fn read(name: &str) -> Option<Folder> {
        match name {
            "input" => Some(Folder::Input),
            "output" => Some(Folder::Output),
            "temp" => Some(Folder::Temp),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Folder::Input => "input",
            Folder::Output => "output",
            Folder::Temp => "temp",
        }
    }
}

/// One file.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) bytes: Bytes,
    pub(crate) modified: SystemTime,
}

impl Stored {
    /// The `ETag` aiohttp makes of time and length.
    pub(crate) fn etag(&self) -> String {
        let nanos = self.modified.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        format!("\"{nanos:x}-{:x}\"", self.bytes.len())
    }
}

type Key = (Folder, String);

/// All files.
#[derive(Debug, Default)]
pub(crate) struct FileStore {
    files: HashMap<Key, Stored>,
    counters: HashMap<Key, u32>,
    produced: VecDeque<Key>,
    produced_bytes: usize,
}

/// Why an upload is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400 with an empty body.
    BadRequest,
    /// 500 text.
    Crash,
}

impl FileStore {
    pub(crate) fn get(&self, folder: Folder, subfolder: &str, name: &str) -> Option<Stored> {
        self.files.get(&key(folder, subfolder, name)).cloned()
    }

    /// A file as a loader names it: `sub/x.png`, `x.png [output]`, `x.png [temp]`.
    pub(crate) fn annotated(&self, name: &str) -> Option<Stored> {
        let (path, folder) = split_annotation(name);
        self.files.get(&(folder.unwrap_or(Folder::Input), path.to_owned())).cloned()
    }

    /// Files directly in the input folder, sorted.
    pub(crate) fn input_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .files
            .keys()
            .filter(|(folder, path)| *folder == Folder::Input && !path.contains('/'))
            .map(|(_, path)| path.clone())
            .collect();
        names.sort();
        names
    }

    /// Paths of a folder, sorted.
    pub(crate) fn paths(&self, folder: Folder) -> Vec<String> {
        let mut paths: Vec<String> = self.files.keys().filter(|(f, _)| *f == folder).map(|(_, p)| p.clone()).collect();
        paths.sort();
        paths
    }

    /// Stores an upload and returns the name it got.
    pub(crate) fn upload(
        &mut self,
        folder: Folder,
        subfolder: &str,
        name: &str,
        bytes: Bytes,
        overwrite: bool,
    ) -> Result<String, Refusal> {
        check_upload(subfolder, name)?;
        let mut chosen = name.to_owned();
        let (stem, extension) = name.rsplit_once('.').map_or((name, String::new()), |(s, e)| (s, format!(".{e}")));
        let mut number = 1;
        while self.files.get(&key(folder, subfolder, &chosen)).is_some_and(|there| !overwrite && there.bytes != bytes) {
            chosen = format!("{stem} ({number}){extension}");
            number += 1;
        }
        self.put(folder, subfolder, &chosen, bytes);
        Ok(chosen)
    }

    pub(crate) fn put(&mut self, folder: Folder, subfolder: &str, name: &str, bytes: Bytes) {
        let stored = Stored { bytes, modified: wall_clock() };
        self.files.insert(key(folder, subfolder, name), stored);
    }

    /// Stores a produced picture as `prefix_00001_.png` and returns its file name.
    pub(crate) fn produce(
        &mut self,
        folder: Folder,
        subfolder: &str,
        prefix: &str,
        bytes: Bytes,
        keep: bool,
    ) -> String {
        let counter = self.counters.entry(key(folder, subfolder, prefix)).or_insert(0);
        *counter += 1;
        let name = format!("{prefix}_{counter:05}_.png");
        if keep {
            self.produced_bytes += bytes.len();
            self.produced.push_back(key(folder, subfolder, &name));
            self.put(folder, subfolder, &name, bytes);
        }
        while self.produced_bytes > MAX_STORED_BYTES {
            let Some(oldest) = self.produced.pop_front() else { break };
            if let Some(gone) = self.files.remove(&oldest) {
                self.produced_bytes = self.produced_bytes.saturating_sub(gone.bytes.len());
            }
        }
        name
    }

    /// Empties `temp`, as a start of the server does.
    pub(crate) fn wipe_temp(&mut self) {
        let mut freed = 0;
        self.files.retain(|(folder, _), stored| {
            let keep = *folder != Folder::Temp;
            freed += if keep { 0 } else { stored.bytes.len() };
            keep
        });
        self.produced.retain(|(folder, _)| *folder != Folder::Temp);
        self.produced_bytes = self.produced_bytes.saturating_sub(freed);
    }
}

/// Splits `x.png [output]` into path and folder.
pub(crate) fn split_annotation(name: &str) -> (&str, Option<Folder>) {
    for (suffix, folder) in [(" [input]", Folder::Input), (" [output]", Folder::Output), (" [temp]", Folder::Temp)] {
        if let Some(path) = name.strip_suffix(suffix) {
            return (path, Some(folder));
        }
    }
    (name, None)
}

/// True when a relative folder leaves its root.
pub(crate) fn escapes(path: &str) -> bool {
    let mut depth = 0_i32;
    for part in path.split('/') {
        match part {
            ".." => depth -= 1,
            "" | "." => {}
            _ => depth += 1,
        }
        if depth < 0 {
            return true;
        }
    }
    path.starts_with('/')
}

/// A relative folder without `.`, `..` and empty parts.
pub(crate) fn normalise(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

fn check_upload(subfolder: &str, name: &str) -> Result<(), Refusal> {
    let joined = if subfolder.is_empty() { name.to_owned() } else { format!("{subfolder}/{name}") };
    let absolute_name = name.starts_with('/');
    if escapes(subfolder) || (!absolute_name && escapes(&joined)) {
        return Err(Refusal::BadRequest);
    }
    if name.is_empty() || name.contains('/') || name.len() > MAX_NAME_BYTES {
        return Err(Refusal::Crash);
    }
    Ok(())
}

fn key(folder: Folder, subfolder: &str, name: &str) -> Key {
    let subfolder = normalise(subfolder);
    (folder, if subfolder.is_empty() { name.to_owned() } else { format!("{subfolder}/{name}") })
}
