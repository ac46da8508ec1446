//! Metrics of the process itself, under the names that every Prometheus client uses for them.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, IntGauge, IntGaugeVec, Opts, Registry};
use std::fs;
use tokio::runtime::Handle;

/// Clock ticks a second in `/proc/*/stat`; fixed in Linux's interface to programs, whatever the kernel uses.
const TICKS: f64 = 100.0;

/// Registers `headgate_build_info` and what `/proc` says of this process.
pub fn register(registry: &Registry) -> Result<(), prometheus::Error> {
    let info = Opts::new("headgate_build_info", "Always 1; the label says which version runs.");
    let info = IntGaugeVec::new(info, &["version"])?;
    info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(info))?;
    registry.register(Box::new(Process::new()?))
}

/// Read when it is scraped. What cannot be read is left out.
struct Process {
    cpu: Counter,
    memory: IntGauge,
    files: IntGauge,
    tasks: IntGauge,
    started: Gauge,
}

impl Process {
    fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            cpu: Counter::new("process_cpu_seconds_total", "User and system time of the process.")?,
            memory: IntGauge::new("process_resident_memory_bytes", "Memory of the process that is in RAM.")?,
            files: IntGauge::new("process_open_fds", "Open file descriptors.")?,
            tasks: IntGauge::new(
                "headgate_tasks",
                "Tasks of the runtime: one a connection, and what looks after them.",
            )?,
            started: Gauge::new("process_start_time_seconds", "When the process started, Unix time.")?,
        })
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        let (cpu, memory) = (self.cpu.desc(), self.memory.desc());
        let (files, tasks) = (self.files.desc(), self.tasks.desc());
        [cpu, memory, files, tasks, self.started.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = Vec::new();
        if let Some(Stat { cpu, started }) = Stat::read() {
            self.cpu.reset();
            self.cpu.inc_by(cpu);
            self.started.set(started);
            families.extend(self.cpu.collect());
            families.extend(self.started.collect());
        }
        if let Some(bytes) = resident() {
            self.memory.set(bytes);
            families.extend(self.memory.collect());
        }
        if let Some(files) = fs::read_dir("/proc/self/fd")
            .ok()
            .and_then(|fds| i64::try_from(fds.count()).ok())
        {
            self.files.set(files);
            families.extend(self.files.collect());
        }
        if let Ok(runtime) = Handle::try_current() {
            let tasks = runtime.metrics().num_alive_tasks();
            self.tasks.set(i64::try_from(tasks).unwrap_or(i64::MAX));
            families.extend(self.tasks.collect());
        }
        families
    }
}

/// From `/proc/self/stat`, seconds.
struct Stat {
    cpu: f64,
    started: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The second field, the program's name, may hold anything but ends with the last parenthesis: the third is the first here.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |field: usize| fields.get(field.checked_sub(3)?)?.parse::<f64>().ok();
        Some(Self {
            cpu: (ticks(14)? + ticks(15)?) / TICKS,
            started: boot()? + ticks(22)? / TICKS,
        })
    }
}

fn boot() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()
}

fn resident() -> Option<i64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_process_is_measured() {
        let registry = Registry::new();
        register(&registry).unwrap();
        let families = registry.gather();
        let value = |name: &str| {
            let family = families.iter().find(|f| f.name() == name).unwrap();
            let metric = &family.get_metric()[0];
            metric.get_gauge().get_value().max(metric.get_counter().get_value())
        };
        assert!(value("process_resident_memory_bytes") > 1e5);
        assert!(value("process_open_fds") >= 3.0);
        let before = value("headgate_tasks");
        let task = tokio::spawn(std::future::pending::<()>());
        let families = registry.gather();
        let family = families.iter().find(|f| f.name() == "headgate_tasks").unwrap();
        let more = family.get_metric()[0].get_gauge().get_value() - before;
        assert!((0.5..1.5).contains(&more), "{more}");
        task.abort();
        let now = jiff::Timestamp::now().as_duration().as_secs_f64();
        let age = now - value("process_start_time_seconds");
        assert!((-2.0..3600.0).contains(&age), "{age}");
        assert!(value("process_cpu_seconds_total") >= 0.0);
    }
}
