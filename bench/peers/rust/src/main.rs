//! The contenders that are written in Rust: crossbeam's channels, between OS threads. Each run measures one workload, once, after
//! a warm-up of its own:
//!
//!     rust_peer WORKLOAD PARAMETERS...
//!
//! and prints one line: {"value":14.9,"figures":[]}, in the unit of the benchmark of the same work in C++.

use crossbeam_channel::{bounded, select, Receiver, Sender};
use std::hint::black_box;
use std::thread;
use std::time::Instant;

fn send_numbers(to: &Sender<i32>, count: i32) {
    for i in 0..count {
        to.send(i).unwrap();
    }
}

fn receive_numbers(from: &Receiver<i32>, count: i32) {
    let mut sum = 0_u64;
    for _ in 0..count {
        sum += from.recv().unwrap() as u64;
    }
    black_box(sum);
}

/// P9: `count` round trips.
fn ping_pong(count: i32) {
    let (there, there_end) = bounded(0);
    let (back, back_end) = bounded(0);
    thread::scope(|all| {
        all.spawn(|| {
            for i in 0..count {
                there.send(i).unwrap();
                back_end.recv().unwrap();
            }
        });
        all.spawn(|| {
            for _ in 0..count {
                back.send(there_end.recv().unwrap()).unwrap();
            }
        });
    });
}

/// P10: `count` elements from so many producers to as many consumers.
fn through_buffer(capacity: usize, pairs: i32, count: i32) {
    let (to, from) = bounded(capacity);
    thread::scope(|all| {
        for _ in 0..pairs {
            all.spawn(|| send_numbers(&to, count / pairs));
            all.spawn(|| receive_numbers(&from, count / pairs));
        }
    });
}

/// P11: `count` elements from two producers, with a channel each, to one consumer.
fn select_among_two(capacity: usize, count: i32) {
    let (to_a, a) = bounded(capacity);
    let (to_b, b) = bounded(capacity);
    thread::scope(|all| {
        all.spawn(|| send_numbers(&to_a, count / 2));
        all.spawn(|| send_numbers(&to_b, count / 2));
        all.spawn(|| {
            let mut sum = 0_u64;
            for _ in 0..count {
                select! {
                    recv(a) -> v => sum += v.unwrap() as u64,
                    recv(b) -> v => sum += v.unwrap() as u64,
                }
            }
            black_box(sum);
        });
    });
}

/// Nanoseconds for each of `count`.
fn time_each(count: i32, work: impl Fn(i32)) -> f64 {
    work(count / 10);
    let start = Instant::now();
    work(count);
    start.elapsed().as_nanos() as f64 / f64::from(count)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parameters: Vec<i32> = arguments.iter().skip(1).filter_map(|text| text.parse().ok()).collect();
    let value = match (arguments.first().map(String::as_str), parameters.as_slice()) {
        (Some("ping_pong"), &[count]) => time_each(count, ping_pong),
        (Some("buffered"), &[capacity, pairs, count]) => {
            time_each(count, |n| through_buffer(capacity as usize, pairs, n))
        }
        (Some("select"), &[capacity, count]) => time_each(count, |n| select_among_two(capacity as usize, n)),
        _ => {
            eprintln!("usage: rust_peer ping_pong COUNT | buffered CAPACITY PAIRS COUNT | select CAPACITY COUNT");
            std::process::exit(2);
        }
    };
    println!("{{\"value\":{value},\"figures\":[]}}");
}
