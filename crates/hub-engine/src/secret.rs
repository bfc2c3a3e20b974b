//! Reads a secret from where it is kept. Never logs, caches or compares one.

use hub_core::server::SecretSource;
use secrecy::SecretString;

/// Largest file that is read for a secret, in bytes.
const FILE_MAX_BYTES: u64 = 64 * 1024;

/// Why a secret could not be read. Names the place, never the value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The environment variable is not set, or not text.
    #[error("the environment variable `{0}` is not set")]
    Env(String),
    /// The file cannot be read.
    #[error("the secret's file cannot be read")]
    File(#[source] std::io::Error),
    /// The file has no first line.
    #[error("the secret's file is empty or too large")]
    EmptyFile,
}

/// The secret as it is now: variables and files are read anew each time, so that a rotated one is found.
pub(crate) async fn resolve(source: &SecretSource) -> Result<SecretString, SecretError> {
    match source {
        SecretSource::Literal(secret) => Ok(SecretString::from(secret.clone())),
        SecretSource::Env(name) => {
            std::env::var(name).map(SecretString::from).map_err(|_| SecretError::Env(name.clone()))
        }
        SecretSource::File(path) => {
            let size = tokio::fs::metadata(path).await.map_err(SecretError::File)?.len();
            if size > FILE_MAX_BYTES {
                return Err(SecretError::EmptyFile);
            }
            let text = tokio::fs::read_to_string(path).await.map_err(SecretError::File)?;
            let line = text.lines().next().map(str::trim).filter(|line| !line.is_empty());
            line.map(SecretString::from).ok_or(SecretError::EmptyFile)
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[tokio::test]
    async fn a_file_is_read_anew_and_only_its_first_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("token");
        let source = SecretSource::File(path.display().to_string());
        assert!(matches!(resolve(&source).await, Err(SecretError::File(_))));
        for secret in ["first", "second"] {
            std::fs::write(&path, format!("{secret}\nrest\n")).expect("written");
            assert_eq!(resolve(&source).await.expect("read").expose_secret(), secret);
        }
        std::fs::write(&path, "\n").expect("written");
        assert!(matches!(resolve(&source).await, Err(SecretError::EmptyFile)));
    }

    #[tokio::test]
    async fn a_variable_that_is_not_set_is_named() {
        let error = resolve(&SecretSource::Env("GENIMAGE_TEST_NOT_SET".to_owned())).await.expect_err("not set");
        assert!(error.to_string().contains("GENIMAGE_TEST_NOT_SET"));
    }
}
