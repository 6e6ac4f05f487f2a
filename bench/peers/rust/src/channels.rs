use crossbeam_channel::{bounded, select, Receiver, Sender};
use std::hint::black_box;
use std::thread;

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
pub fn ping_pong(count: i32) {
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
pub fn through_buffer(capacity: usize, pairs: i32, count: i32) {
    let (to, from) = bounded(capacity);
    thread::scope(|all| {
        for _ in 0..pairs {
            all.spawn(|| send_numbers(&to, count / pairs));
            all.spawn(|| receive_numbers(&from, count / pairs));
        }
    });
}

/// P11: `count` elements from two producers, with a channel each, to one consumer.
pub fn select_among_two(capacity: usize, count: i32) {
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
