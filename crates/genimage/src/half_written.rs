//! Files that a hub which died was just writing. A file gets its name once it is whole; until then it lies beside it under
//! that name with `#` and a number (`object_store::local`), where no list of files shows it.

use std::{
    fs, io,
    path::Path,
    time::{Duration, SystemTime},
};

/// Removes those below a folder that nobody has written to since `before`; answers how many.
///
/// # Errors
/// When a folder cannot be read or a file not be removed; what was removed before stays so.
pub(crate) fn remove(folder: &Path, before: SystemTime) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            removed += remove(&entry.path(), before)?;
        } else if is_half_written(&entry.file_name().to_string_lossy()) && entry.metadata()?.modified()? < before {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes them beside what goes on. Of a folder that others may write to, only what is older than any write takes.
pub(crate) fn remove_soon(folder: &Path, is_ours_alone: bool, now: SystemTime) {
    const ANY_WRITE: Duration = Duration::from_hours(1);
    let before = if is_ours_alone { now } else { now - ANY_WRITE };
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
        let long_ago = now - Duration::from_mins(1);
        assert_eq!(remove(folder.path(), long_ago).expect("looked"), 0, "they may be being written");
        assert_eq!(remove(folder.path(), now + Duration::from_mins(1)).expect("looked"), 2);
        assert_eq!(fs::read_dir(&inner).expect("there").count(), 4);
    }
}
