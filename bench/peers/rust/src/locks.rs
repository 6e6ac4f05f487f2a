//! parking_lot.

use crate::{time_each, Sample};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// P1: a mutex that nobody else wants.
pub fn lock_and_unlock() -> Sample {
    let mutex = Mutex::new(());
    time_each(4_000_000, |count| {
        for _ in 0..count {
            black_box(&mutex.lock());
        }
    })
}

/// P2: a read lock that nobody disputes.
pub fn read_lock_and_unlock() -> Sample {
    let lock = RwLock::new(());
    time_each(4_000_000, |count| {
        for _ in 0..count {
            black_box(&lock.read());
        }
    })
}

/// P14
pub fn size_of_mutex() -> Sample {
    Sample(std::mem::size_of::<Mutex<()>>() as f64, vec![])
}

pub fn size_of_rw_lock() -> Sample {
    Sample(std::mem::size_of::<RwLock<()>>() as f64, vec![])
}

const WARMING_UP: i32 = 0;
const MEASURING: i32 = 1;
const OVER: i32 = 2;

const BINS: usize = 8 * 40;

/// Bins that are an eighth of a power of two wide, as in contention_bench.cpp.
fn bin_of(nanoseconds: u64) -> usize {
    let wait = nanoseconds.max(1);
    let power = 63 - wait.leading_zeros() as usize;
    let eighth = (((wait as u128) << 3 >> power) & 7) as usize;
    (power * 8 + eighth).min(BINS - 1)
}

/// Microseconds that the part `share` of the timed calls waited less.
fn wait_of(share: f64, places: &[Place]) -> f64 {
    let counts: Vec<f64> =
        (0..BINS).map(|bin| places.iter().map(|place| f64::from(place.waits[bin].load(Relaxed))).sum()).collect();
    let wanted = share * counts.iter().sum::<f64>();
    let mut bin = 0;
    let mut below = counts[0];
    while bin + 1 < BINS && below < wanted {
        bin += 1;
        below += counts[bin];
    }
    (1.0 + ((bin % 8) as f64 + 0.5) / 8.0) * 2_f64.powi((bin / 8) as i32) / 1e3
}

/// What one contender did, on cache lines of its own. Only it writes there.
#[repr(align(128))]
struct Place {
    served: AtomicU64,
    last_turn: AtomicU64,    // what the shared count was then
    overtaken: AtomicU64,    // the most turns of others between two of its own, while measuring
    longest_wait: AtomicI64, // nanoseconds, of the calls that were timed while measuring
    waits: [AtomicU32; BINS], // the same calls
}

impl Place {
    fn new() -> Place {
        Place {
            served: AtomicU64::new(0),
            last_turn: AtomicU64::new(0),
            overtaken: AtomicU64::new(0),
            longest_wait: AtomicI64::new(0),
            waits: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }
}

#[repr(align(128))]
struct Apart<T>(T);

struct Shared {
    mutex: Mutex<()>,
    turns: AtomicU64, // guarded by the mutex; atomic only because the watcher reads it from outside
}

struct Arena {
    shared: Apart<Shared>,
    now: Apart<AtomicI32>,
    places: Vec<Place>,
}

/// Step by step: LLVM would make one of several.
#[inline(never)]
fn private_work(mut seed: u64, steps: i32) -> u64 {
    for _ in 0..steps {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // SAFETY: it is empty.
        unsafe { std::arch::asm!("/* {0} */", inout(reg) seed, options(pure, nomem, nostack, preserves_flags)) };
    }
    seed
}

fn raise<T: PartialOrd>(value: T, highest: T, store: impl Fn(T)) {
    if value > highest {
        store(value);
    }
}

impl Arena {
    fn contend(&self, index: usize, steps: i32) {
        let mine = &self.places[index];
        let mut seed = index as u64;
        let mut served = 0_u64;
        let mut last_turn = 0_u64;
        let mut before = WARMING_UP;
        let mut now = WARMING_UP;
        while now != OVER {
            served += 1;
            let asked = (served % 64 == 0).then(Instant::now);
            let hold = self.shared.0.mutex.lock();
            let waited = asked.map(|start| start.elapsed().as_nanos() as u64);
            let turn = self.shared.0.turns.load(Relaxed) + 1;
            self.shared.0.turns.store(turn, Relaxed);
            drop(hold);
            if let (MEASURING, Some(waited)) = (now, waited) {
                raise(waited as i64, mine.longest_wait.load(Relaxed), |v| mine.longest_wait.store(v, Relaxed));
                let bin = &mine.waits[bin_of(waited)];
                bin.store(bin.load(Relaxed) + 1, Relaxed);
            }
            if before == MEASURING {
                raise(turn - last_turn - 1, mine.overtaken.load(Relaxed), |v| mine.overtaken.store(v, Relaxed));
            }
            before = now;
            last_turn = turn;
            mine.last_turn.store(turn, Relaxed);
            mine.served.store(served, Relaxed);
            seed = private_work(seed, steps);
            now = self.now.0.load(Relaxed);
        }
        black_box(seed);
    }

    fn counts(&self) -> Vec<u64> {
        self.places.iter().map(|place| place.served.load(Relaxed)).collect()
    }

    fn watch(&self, duration: Duration) -> Sample {
        thread::sleep(Duration::from_millis(20));
        let before = self.counts();
        let first_turn = self.shared.0.turns.load(Relaxed);
        let start = Instant::now();
        self.now.0.store(MEASURING, Relaxed);
        thread::sleep(duration);
        let after = self.counts();
        let final_turn = self.shared.0.turns.load(Relaxed);
        let elapsed = start.elapsed().as_nanos() as f64;
        self.now.0.store(OVER, Relaxed);

        let turns = (final_turn - first_turn) as f64;
        let served: Vec<f64> = after.iter().zip(&before).map(|(after, before)| (after - before) as f64).collect();
        let least = served.iter().copied().fold(f64::INFINITY, f64::min);
        let most = served.iter().copied().fold(0.0, f64::max);
        let mut longest = 0_f64;
        for place in &self.places {
            let since = place.last_turn.load(Relaxed).max(first_turn);
            let overtaken = place.overtaken.load(Relaxed).max(final_turn.saturating_sub(since));
            longest = longest.max(place.longest_wait.load(Relaxed) as f64).max(overtaken as f64 * elapsed / turns);
        }
        Sample(
            turns / elapsed * 1e3,
            vec![least / most, wait_of(0.5, &self.places), wait_of(0.99, &self.places), wait_of(0.999, &self.places), longest / 1e6],
        )
    }
}

/// P3: one mutex that everybody wants. Millions a second; least over most served; waits, known as contention_bench.cpp explains.
pub fn contention(contenders: usize, duration: Duration, steps: i32) -> Sample {
    let arena = Arena {
        shared: Apart(Shared { mutex: Mutex::new(()), turns: AtomicU64::new(0) }),
        now: Apart(AtomicI32::new(WARMING_UP)),
        places: (0..contenders).map(|_| Place::new()).collect(),
    };
    thread::scope(|all| {
        for index in 0..contenders {
            let arena = &arena;
            all.spawn(move || arena.contend(index, steps));
        }
        arena.watch(duration)
    })
}

/// A multiplication, in place of Rust's own hash, which would cost more than the lock.
#[derive(Default)]
struct Multiply(u64);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        self.0.wrapping_mul(0x9e3779b97f4a7c15)
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers");
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// P5: lookups in a map of 1,000 entries under a read lock; of a hundred calls so many, the others change an entry. Millions a
/// second.
pub fn lookups(reads: u64, threads: u64, duration: Duration) -> Sample {
    const ENTRIES: u64 = 1000;
    let map: HashMap<u64, u64, BuildHasherDefault<Multiply>> = (0..ENTRIES).map(|i| (i, i)).collect();
    let table = RwLock::new(map);
    let is_over = AtomicBool::new(false);
    let calls = AtomicU64::new(0);
    let start = Instant::now();
    thread::scope(|all| {
        for thread in 1..=threads {
            let (table, is_over, calls) = (&table, &is_over, &calls);
            all.spawn(move || {
                let mut random = 0x9e3779b97f4a7c15_u64.wrapping_mul(thread);
                let mut sum = 0_u64;
                let mut done = 0;
                while !is_over.load(Relaxed) {
                    for _ in 0..64 {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        let key = (random >> 20) % ENTRIES;
                        if random % 1000 < reads * 10 {
                            sum = sum.wrapping_add(table.read()[&key]);
                        } else {
                            *table.write().get_mut(&key).unwrap() = random >> 40;
                        }
                    }
                    done += 64;
                }
                black_box(sum);
                calls.fetch_add(done, Relaxed);
            });
        }
        thread::sleep(duration);
        is_over.store(true, Relaxed);
    });
    Sample(calls.load(Relaxed) as f64 / start.elapsed().as_nanos() as f64 * 1e3, vec![])
}
