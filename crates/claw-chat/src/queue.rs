use std::{collections::VecDeque, time::Duration};

use chrono::{DateTime, Utc};
use claw_domain::{CallId, MessageId, Origin, Sensitive, Wamid};

use crate::{Command, Item, Notice, Plan};

/// How long the real message behind a placeholder is waited for. It arrives within some 200 ms, or never
/// (seen by integrators; Meta does not document it).
const REAL_MESSAGE_TIMEOUT: Duration = Duration::from_secs(4);

/// Most messages in one batch.
const BATCH_MESSAGES: usize = 32;

/// Most characters in one batch, unless its first message alone is longer.
const BATCH_CHARACTERS: usize = 32_000;

/// The next step for the queue.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Send this batch to the assistant.
    Turn(Batch),
    /// Answer this message with a notice.
    Say(MessageId, Notice),
    /// Execute the command of this message, and confirm it.
    Obey(MessageId, Command),
    /// Put the caller through as soon as their assistant is ready.
    PutThrough(MessageId, CallId),
    /// The call has ended: write the answer the caller has not heard, before the assistant adds to it.
    WrapUp(MessageId, CallId),
    /// Tell the user that the caller may have been somebody else.
    Warn(MessageId, CallId),
    /// Close this message without an answer.
    Close(MessageId),
    /// Ask the user to send the message again, unless the real one has arrived meanwhile.
    AskAgain(MessageId, Wamid),
    /// Do nothing before this time.
    Wait(DateTime<Utc>),
    /// The queue is empty.
    Nothing,
}

/// Messages that are sent to the assistant as one turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The first message; its id is the run key.
    pub first: MessageId,
    /// All messages, in order.
    pub members: Vec<MessageId>,
    /// The origin of the newest message.
    pub origin: Origin,
    /// The part of the previous answer that the caller had heard when they spoke over it.
    pub heard: Option<Sensitive<String>>,
    /// The text for the assistant.
    pub text: Sensitive<String>,
    /// The batch may have been sent already.
    pub may_have_been_sent: bool,
    /// The database knows the members of the batch.
    pub is_recorded: bool,
}

/// Decides what to do next. A placeholder that waits for the real message lets later messages pass.
pub fn next(queue: &VecDeque<Item>, now: DateTime<Utc>) -> Next {
    let mut wait: Option<DateTime<Utc>> = None;
    for (index, item) in queue.iter().enumerate() {
        return match &item.plan {
            Plan::Placeholder => {
                let due = item.taken_at + REAL_MESSAGE_TIMEOUT;
                if now < due {
                    wait = Some(wait.map_or(due, |wait| wait.min(due)));
                    continue;
                }
                match &item.origin {
                    Origin::WhatsApp { wamid } => Next::AskAgain(item.id, wamid.clone()),
                    Origin::Voice { .. } => Next::Close(item.id),
                }
            }
            Plan::Ask(text) => Next::Turn(batch(item, text, queue.iter().skip(index + 1))),
            Plan::Say(notice) => Next::Say(item.id, *notice),
            Plan::Obey(command, _) => Next::Obey(item.id, *command),
            Plan::PutThrough(call) => Next::PutThrough(item.id, *call),
            Plan::WrapUp(call) => Next::WrapUp(item.id, *call),
            Plan::Warn(call) => Next::Warn(item.id, *call),
            Plan::NoAnswer => Next::Close(item.id),
        };
    }
    wait.map_or(Next::Nothing, Next::Wait)
}

/// Applies the command "stop" to a turn that was stopped, or has not begun: messages written before it need
/// no answer any more, and the command itself is confirmed. Spoken messages keep their place, because the
/// caller waits for the answer. Returns `false` if the command is not in the queue.
pub fn confirm_stop(queue: &mut VecDeque<Item>) -> bool {
    let Some(index) = queue.iter().position(Item::is_stop) else {
        return false;
    };
    let before = queue.iter_mut().take(index);
    for item in before.filter(|item| item.origin.is_written()) {
        item.plan = Plan::NoAnswer;
    }
    if let Some(stop) = queue.get_mut(index) {
        stop.plan = Plan::Say(Notice::Stopped);
    }
    true
}

/// The batch of `first` and the messages behind it that can be sent together with it.
fn batch<'a>(
    first: &Item,
    text: &Sensitive<String>,
    behind: impl Iterator<Item = &'a Item>,
) -> Batch {
    let mut batch = Batch {
        first: first.batch.unwrap_or(first.id),
        members: vec![first.id],
        origin: first.origin.clone(),
        heard: first.heard.clone(),
        text: text.clone(),
        may_have_been_sent: first.may_have_been_sent,
        is_recorded: first.batch.is_some(),
    };
    let mut texts = vec![text.expose().as_str()];
    let mut characters = text.expose().chars().count();
    for item in behind {
        let text = match &item.plan {
            Plan::Ask(text) => text.expose(),
            // A placeholder lets others pass; any other message keeps its place in the order.
            Plan::Placeholder => continue,
            Plan::Say(_)
            | Plan::Obey(..)
            | Plan::PutThrough(_)
            | Plan::WrapUp(_)
            | Plan::Warn(_)
            | Plan::NoAnswer => break,
        };
        characters += text.chars().count();
        let fits = batch.members.len() < BATCH_MESSAGES && characters <= BATCH_CHARACTERS;
        let belongs = match first.batch {
            // A batch that was sent before is sent again unchanged.
            Some(_) => item.batch == first.batch,
            None => fits && !first.may_have_been_sent && item.is_unsent(),
        };
        // Utterances are answered in the call, one by one.
        if !belongs || !first.origin.is_written() || !item.origin.is_written() {
            break;
        }
        batch.members.push(item.id);
        batch.origin = item.origin.clone();
        texts.push(text);
    }
    batch.text = texts.join("\n\n").into();
    batch
}

#[cfg(test)]
mod tests {
    use claw_domain::VoiceKind;

    use super::*;

    #[test]
    fn an_utterance_is_a_turn_of_its_own_between_written_messages() {
        let spoken = |text: &str| Item {
            origin: of_call(VoiceKind::Speech),
            ..ask(text)
        };
        let mut queue = VecDeque::from([ask("a"), spoken("b"), spoken("c"), ask("d")]);
        let mut turns = Vec::new();
        while !queue.is_empty() {
            let batch = turn(&queue);
            queue.retain(|item| !batch.members.contains(&item.id));
            turns.push(batch.text.expose().clone());
        }

        assert_eq!(turns, ["a", "b", "c", "d"]);
    }

    #[test]
    fn waiting_messages_become_one_batch_in_their_order() {
        let queue = VecDeque::from([ask("a"), ask("b"), ask("c")]);

        let batch = turn(&queue);

        assert_eq!(batch.text.expose(), "a\n\nb\n\nc");
        assert_eq!(batch.first, id("a"));
        assert_eq!(batch.members, [id("a"), id("b"), id("c")]);
        assert_eq!(batch.origin, of_chat("c"));
    }

    #[test]
    fn a_message_that_may_have_been_sent_is_not_batched_with_others() {
        let mut again = ask("a");
        again.may_have_been_sent = true;

        assert_eq!(turn(&VecDeque::from([again, ask("b")])).members, [id("a")]);
    }

    #[test]
    fn a_recorded_batch_is_sent_again_unchanged() {
        let part = |name| Item {
            batch: Some(id("a")),
            may_have_been_sent: true,
            ..ask(name)
        };

        let batch = turn(&VecDeque::from([part("a"), part("b"), ask("c")]));

        assert_eq!(batch.members, [id("a"), id("b")]);
        assert!(batch.is_recorded);
    }

    #[test]
    fn a_photo_between_texts_keeps_its_place() {
        let photo = Item {
            plan: Plan::Say(Notice::CannotRead("pictures")),
            ..ask("b")
        };
        let mut queue = VecDeque::from([ask("a"), photo, ask("c")]);

        assert_eq!(turn(&queue).members, [id("a")]);
        queue.pop_front();
        assert_eq!(
            next(&queue, DateTime::UNIX_EPOCH),
            Next::Say(id("b"), Notice::CannotRead("pictures"))
        );
    }

    #[test]
    fn a_placeholder_lets_others_pass_until_it_times_out() {
        let placeholder = Item {
            plan: Plan::Placeholder,
            ..ask("a")
        };
        let queue = VecDeque::from([placeholder]);
        let due = DateTime::UNIX_EPOCH + REAL_MESSAGE_TIMEOUT;

        assert_eq!(next(&queue, DateTime::UNIX_EPOCH), Next::Wait(due));
        assert_eq!(
            next(&queue, due),
            Next::AskAgain(id("a"), Wamid::new("wamid.a"))
        );
        let mut queue = queue;
        queue.push_back(ask("b"));
        assert_eq!(turn(&queue).members, [id("b")]);
    }

    #[test]
    fn stop_cancels_messages_before_it_and_none_after() {
        let stop = Item {
            plan: Plan::Obey(Command::Stop, "stop".into()),
            ..ask("b")
        };
        let mut queue = VecDeque::from([ask("a"), stop, ask("c")]);

        assert!(confirm_stop(&mut queue));

        let plans: Vec<&Plan> = queue.iter().map(|item| &item.plan).collect();
        let (after, confirmed) = (Plan::Ask("c".into()), Plan::Say(Notice::Stopped));
        assert_eq!(plans, [&Plan::NoAnswer, &confirmed, &after]);
        assert!(!confirm_stop(&mut queue), "the command is applied once");
    }

    #[test]
    fn a_written_stop_leaves_a_waiting_caller_in_the_queue() {
        let call = CallId::derived_from("CA1");
        let caller = Item {
            origin: of_call(VoiceKind::CallStarted),
            plan: Plan::PutThrough(call),
            ..ask("a")
        };
        let stop = Item {
            plan: Plan::Obey(Command::Stop, "stop".into()),
            ..ask("b")
        };
        let mut queue = VecDeque::from([caller, stop]);

        assert!(confirm_stop(&mut queue));

        assert_eq!(queue[0].plan, Plan::PutThrough(call));
    }

    #[test]
    fn a_batch_holds_a_bounded_number_of_messages() {
        let queue: VecDeque<Item> = (0..100).map(|n| ask(&n.to_string())).collect();

        assert_eq!(turn(&queue).members.len(), BATCH_MESSAGES);
    }

    fn turn(queue: &VecDeque<Item>) -> Batch {
        let next = next(queue, DateTime::UNIX_EPOCH);
        let Next::Turn(batch) = next else {
            panic!("not a turn: {next:?}");
        };
        batch
    }

    fn of_chat(text: &str) -> Origin {
        let wamid = Wamid::new(format!("wamid.{text}"));
        Origin::WhatsApp { wamid }
    }

    fn of_call(kind: VoiceKind) -> Origin {
        Origin::Voice {
            call: CallId::derived_from("CA1"),
            turn: 1,
            kind,
        }
    }

    fn id(name: &str) -> MessageId {
        MessageId::derived_from(name)
    }

    fn ask(text: &str) -> Item {
        Item {
            id: id(text),
            origin: of_chat(text),
            heard: None,
            sequence: 1,
            taken_at: DateTime::UNIX_EPOCH,
            plan: Plan::Ask(text.into()),
            batch: None,
            may_have_been_sent: false,
        }
    }
}
