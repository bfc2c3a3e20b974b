//! What the hub's process uses, as Linux tells it; elsewhere nothing is told.

use super::text::Text;

/// Linux tells times in hundredths of a second, whatever its own clock does (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn write(text: &mut Text) {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    if let Some(seconds) = read("/proc/self/stat").as_deref().and_then(cpu_seconds) {
        text.family("process_cpu_seconds_total", "counter", "CPU time of the hub, user and system.");
        text.line(&[], seconds);
    }
    if let Some(bytes) = read("/proc/self/status").as_deref().and_then(resident_bytes) {
        text.family("process_resident_memory_bytes", "gauge", "Memory of the hub that is in RAM.");
        text.line(&[], bytes);
    }
}

/// User and system time of `/proc/self/stat`.
fn cpu_seconds(stat: &str) -> Option<f64> {
    // The program's name, in parentheses, may hold anything; the state follows it, and user time is 11 fields on.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_whitespace().skip(11);
    let mut ticks = || times.next()?.parse::<u32>().ok().map(f64::from);
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

/// Resident memory of `/proc/self/status`.
fn resident_bytes(status: &str) -> Option<u64> {
    let told = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = told.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_whatever_the_program_is_called() {
        let stat = "17 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 125 0 0 20 0";
        assert_eq!(cpu_seconds(stat), Some(3.75));
        assert_eq!(cpu_seconds("17 (a) S 1"), None);
        assert_eq!(resident_bytes("Name:\tgenimage\nVmRSS:\t    2048 kB\n"), Some(2_097_152));
        assert_eq!(resident_bytes("Name:\tgenimage\n"), None);
    }
}
