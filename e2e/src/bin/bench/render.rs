use std::time::{Duration, Instant};

use claw_domain::{Language, ReplyText};
use claw_twilio::speech::{LONGEST_SPEECH_CHARS, beginning_in, speakable_in};
use claw_whatsapp::format::{split, to_parameter, to_whatsapp};
use e2e::bombs::BOMBS;

/// The length of the measured texts.
const SIZE: usize = 1024 * 1024;

/// Measures how long each hostile text of 1 MiB takes: first as a reply, which is cut before it is converted, and then
/// whole, and half of it, which shows whether the time is linear.
pub(crate) fn run() {
    println!("\nhostile texts of 1 MiB, in ms: as a reply; then whole (half of it)");
    println!(
        "{:42} {:>7} {:>7} {:>7} {:>15} {:>15}",
        "", "chat", "speech", "param", "chat", "speech"
    );
    let mut slowest = Duration::ZERO;
    for (name, bomb) in BOMBS {
        let (text, half) = (bomb(SIZE), bomb(SIZE / 2));
        let copy = text.clone();
        let chat = time(|| split(&to_whatsapp(ReplyText::from(copy).expose())).len());
        let copy = text.clone();
        let speech = time(|| {
            let reply = ReplyText::from(copy);
            beginning_in(reply.expose(), Language::EnglishUs, LONGEST_SPEECH_CHARS)
        });
        let parameter = time(|| to_parameter(&text));
        slowest = slowest.max(chat).max(speech).max(parameter);
        let chats = [&text, &half].map(|text| time(|| split(&to_whatsapp(text)).len()));
        let speeches = [&text, &half].map(|text| time(|| speakable_in(text, Language::EnglishUs)));
        println!(
            "{name:42} {:>7.1} {:>7.1} {:>7.1} {:>15} {:>15}",
            millis(chat),
            millis(speech),
            millis(parameter),
            both(chats),
            both(speeches),
        );
    }
    println!("slowest as a reply: {:.1} ms", millis(slowest));
}

fn time<T>(act: impl FnOnce() -> T) -> Duration {
    let started = Instant::now();
    std::hint::black_box(act());
    started.elapsed()
}

fn both([whole, half]: [Duration; 2]) -> String {
    format!("{:.1} ({:.1})", millis(whole), millis(half))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
