//! The contenders that are written in Rust: crossbeam's channels and parking_lot's locks, between OS threads. Each run measures
//! one workload, once, after a warm-up of its own:
//!
//!     rust_peer WORKLOAD PARAMETERS...
//!
//! and prints one line: {"value":14.9,"figures":[]}, in the unit of the benchmark of the same work in C++.

mod channels;
mod locks;

use std::time::{Duration, Instant};

/// A value, and the figures beside it.
pub struct Sample(pub f64, pub Vec<f64>);

/// Nanoseconds for each of `count`.
pub fn time_each(count: i32, work: impl Fn(i32)) -> Sample {
    work(count / 10);
    let start = Instant::now();
    work(count);
    Sample(start.elapsed().as_nanos() as f64 / f64::from(count), vec![])
}

fn milliseconds(count: i32) -> Duration {
    Duration::from_millis(count as u64)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parameters: Vec<i32> = arguments.iter().skip(1).filter_map(|text| text.parse().ok()).collect();
    let Sample(value, figures) = match (arguments.first().map(String::as_str), parameters.as_slice()) {
        (Some("version"), _) => {
            println!("{{\"versions\":{}}}", env!("RUST_PEER_VERSIONS"));
            return;
        }
        (Some("ping_pong"), &[count]) => time_each(count, channels::ping_pong),
        (Some("buffered"), &[capacity, pairs, count]) => {
            time_each(count, |n| channels::through_buffer(capacity as usize, pairs, n))
        }
        (Some("select"), &[capacity, count]) => time_each(count, |n| channels::select_among_two(capacity as usize, n)),
        (Some("mutex"), &[]) => locks::lock_and_unlock(),
        (Some("rwmutex"), &[]) => locks::read_lock_and_unlock(),
        (Some("size_mutex"), &[]) => locks::size_of_mutex(),
        (Some("size_rwmutex"), &[]) => locks::size_of_rw_lock(),
        (Some("contention"), &[contenders, duration, steps]) => {
            locks::contention(contenders as usize, milliseconds(duration), steps)
        }
        (Some("lookups"), &[reads, threads, duration]) => {
            locks::lookups(reads as u64, threads as u64, milliseconds(duration))
        }
        _ => {
            eprintln!("rust_peer: no such workload, or not so many parameters");
            std::process::exit(2);
        }
    };
    println!("{{\"value\":{value},\"figures\":{figures:?}}}");
}
