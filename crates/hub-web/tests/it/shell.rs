//! What a shell makes of a command that a page shows; for tests here and of the whole hub.

use std::process::Command;

use crate::left_out::left_out;

/// Words that a shell makes of a command; none, and said so, where there is no shell.
pub(crate) fn words(command: &str) -> Option<Vec<String>> {
    let script = format!("{} () {{ printf '%s\\0' \"$@\"; }}\n{command}", command.split_whitespace().next()?);
    let said = match Command::new("bash").arg("-c").arg(script).output() {
        Ok(said) => said,
        Err(error) => {
            left_out(&format!("no shell reads the commands of pages: {error}"));
            return None;
        }
    };
    assert!(said.status.success(), "{command}: {}", String::from_utf8_lossy(&said.stderr));
    Some(String::from_utf8_lossy(&said.stdout).split_terminator('\0').map(str::to_owned).collect())
}
