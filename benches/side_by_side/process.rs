//! What a process has used, from Linux' `/proc`, and the machine that it ran on.

use std::fs;
use std::process::Command;
use std::time::Duration;

/// CPU time and memory of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// User and system time of all its threads.
    pub(crate) cpu: Duration,
    /// The most memory that it ever had resident, in bytes.
    pub(crate) peak_rss_bytes: u64,
}

impl Usage {
    /// What the process has used so far.
    ///
    /// # Panics
    /// If there is no such process, or no `/proc`.
    pub(crate) fn of(pid: u32) -> Self {
        let read = |file: &str| {
            fs::read_to_string(format!("/proc/{pid}/{file}")).expect("the process runs, on Linux")
        };
        let stat = read("stat");
        // The name in parentheses may hold anything; user and system time are the fields 14 and 15.
        let (_, fields) = stat.rsplit_once(')').expect("stat has the name in it");
        let ticks: u64 = fields
            .split_ascii_whitespace()
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().expect("a number of ticks"))
            .sum();
        let status = read("status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak =
            peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        Self {
            // Linux shows a hundred ticks a second, whatever it works with.
            cpu: Duration::from_millis(ticks * 10),
            peak_rss_bytes: peak.unwrap_or_default() * 1024,
        }
    }
}

/// The machine in one line: processors, memory, kernel.
pub(crate) fn machine() -> String {
    let field = |file: &str, key: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "{cores} cores of {}, {} of memory, Linux {}",
        field("/proc/cpuinfo", "model name"),
        field("/proc/meminfo", "MemTotal"),
        said("uname", &["-r"]),
    )
}

/// Today's date and the time.
pub(crate) fn date() -> String {
    said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    output.unwrap_or_default()
}
