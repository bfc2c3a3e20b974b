//! Files that a hub which died was just writing. A file gets its name once it is whole; until then it lies beside it under
//! that name with `#` and a number (`object_store::local`), where no list of files shows it.

use std::{
    fs::{self, DirEntry},
    io,
    path::Path,
    time::{Duration, SystemTime},
};

/// Longer than any write takes, of whoever else may write to a folder.
const ANY_WRITE: Duration = Duration::from_hours(1);
/// How far the times of files may lie from the hub's: some file systems keep them coarsely, others by another clock.
const COARSE: Duration = Duration::from_mins(1);

/// Removes those below a folder that nobody has written to since `before`; answers how many.
///
/// # Errors
/// When the folder cannot be read.
fn remove(folder: &Path, before: SystemTime) -> io::Result<usize> {
    Ok(remove_of(fs::read_dir(folder)?, before))
}

/// The same of what a folder holds. What cannot be looked at or removed stays and is told.
fn remove_of(entries: impl Iterator<Item = io::Result<DirEntry>>, before: SystemTime) -> usize {
    let mut removed = 0;
    for entry in entries {
        match entry.and_then(|entry| remove_entry(&entry, before)) {
            Ok(more) => removed += more,
            // It got its name in between.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(error = %error, "a half-written file cannot be looked at or removed"),
        }
    }
    removed
}

fn remove_entry(entry: &DirEntry, before: SystemTime) -> io::Result<usize> {
    if entry.file_type()?.is_dir() {
        return remove(&entry.path(), before);
    }
    if !is_half_written(&entry.file_name().to_string_lossy()) || entry.metadata()?.modified()? >= before {
        return Ok(0);
    }
    fs::remove_file(entry.path())?;
    Ok(1)
}

/// Removes them beside what goes on. Of a folder that others may write to, only what is older than any write takes.
pub(crate) fn remove_soon(folder: &Path, is_ours_alone: bool, now: SystemTime) {
    let before = now - if is_ours_alone { COARSE } else { ANY_WRITE };
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || match remove(&folder, before) {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "half-written files of a hub that died were removed"),
        Err(error) => tracing::warn!(error = %error, "half-written files cannot be looked for"),
    });
}

fn is_half_written(name: &str) -> bool {
    let number = name.rsplit_once('#').map(|(_, number)| number).unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use hub_core::clock::{Clock as _, SystemClock};

    use super::*;

    #[test]
    fn only_what_is_half_written_goes_and_nothing_that_is_being_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("45");
        fs::create_dir(&inner).expect("made");
        for name in ["a.png", "a.png#1", "a.job.json#12", "b#x.png", "c#", "#"] {
            fs::write(inner.join(name), b"x").expect("written");
        }
        let now = SystemTime::from(SystemClock.now());
        assert_eq!(remove(folder.path(), now - COARSE).expect("looked"), 0, "they may be being written");
        age(&inner.join("a.png#1"), now);
        age(&inner.join("a.png"), now);
        assert_eq!(remove(folder.path(), now - COARSE).expect("looked"), 1);
        assert_eq!(remove(folder.path(), now + COARSE).expect("looked"), 1);
        assert_eq!(fs::read_dir(&inner).expect("there").count(), 4);
    }

    #[test]
    fn one_that_got_its_name_meanwhile_keeps_none_of_the_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let now = SystemTime::from(SystemClock.now());
        for name in ["a.png#1", "b.png#1", "c.png#1"] {
            fs::write(folder.path().join(name), b"x").expect("written");
            age(&folder.path().join(name), now);
        }
        let entries: Vec<_> = fs::read_dir(folder.path()).expect("there").collect();
        let first = entries[0].as_ref().expect("an entry").path();
        fs::rename(first, folder.path().join("named.png")).expect("renamed");
        let broken = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(remove_of([Err(broken)].into_iter().chain(entries), now - COARSE), 2);
        assert!(folder.path().join("named.png").exists());
    }

    fn age(file: &Path, now: SystemTime) {
        let file = fs::File::options().write(true).open(file).expect("there");
        file.set_modified(now - 2 * COARSE).expect("its time is set");
    }
}
