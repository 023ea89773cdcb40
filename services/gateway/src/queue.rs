use std::{collections::VecDeque, time::Duration};

use chrono::{DateTime, Utc};
use claw_chat::{Command, Notice};
use claw_domain::{CallId, MessageId, Sensitive, Wamid};

use crate::plan::Plan;

/// How long the real message behind a placeholder is waited for. It comes within some 200 ms, or
/// never (seen by integrators; Meta does not document it).
const REAL_MESSAGE_TIMEOUT: Duration = Duration::from_secs(4);

/// Most messages put to the assistant as one turn.
const BATCH_MESSAGES: usize = 32;

/// Most characters put to the assistant as one turn, unless one message alone is longer.
const BATCH_CHARACTERS: usize = 32_000;

/// One unanswered message, in the order of arrival.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Ours.
    pub(crate) id: MessageId,
    /// By which way it came, and its answer goes.
    pub(crate) way: Way,
    /// Where its event is in `INBOUND`.
    pub(crate) sequence: u64,
    /// When we took it.
    pub(crate) taken_at: DateTime<Utc>,
    /// What to do with it.
    pub(crate) plan: Plan,
    /// The first message of the turn it was put to the assistant in; `None` if it never was, as far
    /// as the database knows.
    pub(crate) batch: Option<MessageId>,
    /// It may have been put to the assistant already, in an earlier life of ours.
    pub(crate) may_have_been_sent: bool,
}

/// By which way something came, and its answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// The chat. WhatsApp's id, to mark it read.
    Chat(Wamid),
    /// A phone call.
    Call {
        call: CallId,
        turn: u32,
        /// When the caller cut the answer before short: what of it they had heard.
        heard: Option<Sensitive<String>>,
    },
    /// A call that is over: what is said to it goes into the chat.
    AfterCall,
}

/// What to do next with the messages that wait.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Next {
    /// Put these to the assistant as one turn.
    Turn(Batch),
    /// Answer this one with a line of our own.
    Say(MessageId, Notice),
    /// Do what the person asks of us.
    Obey(MessageId, Command),
    /// The caller is put through, once their assistant is there.
    PutThrough(MessageId, CallId),
    /// The call is over: what the caller did not stay to hear is written, before the assistant may add to it.
    WrapUp(MessageId, CallId),
    /// It wants no answer.
    Close(MessageId),
    /// The person is to send it again, unless the real message came meanwhile.
    AskAgain(MessageId, Wamid),
    /// Nothing until then.
    Wait(DateTime<Utc>),
    /// Nothing waits.
    Nothing,
}

/// Messages that become one turn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Batch {
    /// The first message: its id is the run key.
    pub(crate) first: MessageId,
    /// All of them, in order.
    pub(crate) members: Vec<MessageId>,
    /// By which way they came; of the newest.
    pub(crate) way: Way,
    /// When the first was taken.
    pub(crate) since: DateTime<Utc>,
    /// Where the first's event is in `INBOUND`.
    pub(crate) sequence: u64,
    /// What is put to the assistant.
    pub(crate) text: Sensitive<String>,
    /// It may have been sent already.
    pub(crate) may_have_been_sent: bool,
    /// The database knows which messages belong to it.
    pub(crate) is_noted: bool,
}

/// Decides what comes next. A placeholder that still waits for the real message lets others pass.
pub(crate) fn next(queue: &VecDeque<Item>, now: DateTime<Utc>) -> Next {
    let mut wait: Option<DateTime<Utc>> = None;
    for (place, item) in queue.iter().enumerate() {
        return match &item.plan {
            Plan::AwaitTheReal => {
                let due = item.taken_at + REAL_MESSAGE_TIMEOUT;
                if now < due {
                    wait = Some(wait.map_or(due, |wait| wait.min(due)));
                    continue;
                }
                match &item.way {
                    Way::Chat(wamid) => Next::AskAgain(item.id, wamid.clone()),
                    Way::Call { .. } | Way::AfterCall => Next::Close(item.id),
                }
            }
            Plan::Ask(text) => Next::Turn(batch(item, text, queue.iter().skip(place + 1))),
            Plan::Say(notice) => Next::Say(item.id, *notice),
            Plan::Obey(command, _) => Next::Obey(item.id, *command),
            Plan::PutThrough(call) => Next::PutThrough(item.id, *call),
            Plan::WrapUp(call) => Next::WrapUp(item.id, *call),
            Plan::Keep => Next::Close(item.id),
        };
    }
    wait.map_or(Next::Nothing, Next::Wait)
}

/// The person has stopped a running turn, whichever way it came: what they had written before they said so
/// wants no answer any more, and the order itself is confirmed. What is spoken stays: somebody waits for it on
/// the line. `false` when the order is not here yet.
pub(crate) fn keep_before_stop(queue: &mut VecDeque<Item>) -> bool {
    let is_stop = |item: &Item| matches!(item.plan, Plan::Obey(Command::Stop, _));
    let Some(place) = queue.iter().position(is_stop) else {
        return false;
    };
    let before = queue.iter_mut().take(place);
    for item in before.filter(|item| matches!(item.way, Way::Chat(_))) {
        item.plan = Plan::Keep;
    }
    if let Some(order) = queue.get_mut(place) {
        order.plan = Plan::Say(Notice::Stopped);
    }
    true
}

/// `first`, and everything behind it that belongs into one turn with it.
fn batch<'a>(
    first: &Item,
    text: &Sensitive<String>,
    behind: impl Iterator<Item = &'a Item>,
) -> Batch {
    let mut batch = Batch {
        first: first.batch.unwrap_or(first.id),
        members: vec![first.id],
        way: first.way.clone(),
        since: first.taken_at,
        sequence: first.sequence,
        text: text.clone(),
        may_have_been_sent: first.may_have_been_sent,
        is_noted: first.batch.is_some(),
    };
    let mut texts = vec![text.expose().as_str()];
    let mut characters = text.expose().chars().count();
    for item in behind {
        let text = match &item.plan {
            Plan::Ask(text) => text.expose(),
            // A placeholder lets others pass; anything else has its own place in the order.
            Plan::AwaitTheReal => continue,
            Plan::Say(_) | Plan::Obey(..) | Plan::PutThrough(_) | Plan::WrapUp(_) | Plan::Keep => {
                break;
            }
        };
        characters += text.chars().count();
        let fits = batch.members.len() < BATCH_MESSAGES && characters <= BATCH_CHARACTERS;
        let belongs = match first.batch {
            // What was put to the assistant before is put again as it was.
            Some(_) => item.batch == first.batch,
            None => fits && !first.may_have_been_sent && item.is_untouched(),
        };
        // What is spoken is answered in the call, turn by turn.
        let is_written = matches!((&first.way, &item.way), (Way::Chat(_), Way::Chat(_)));
        if !belongs || !is_written {
            break;
        }
        batch.members.push(item.id);
        batch.way = item.way.clone();
        texts.push(text);
    }
    batch.text = texts.join("\n\n").into();
    batch
}

impl Item {
    /// It was never put to the assistant.
    const fn is_untouched(&self) -> bool {
        self.batch.is_none() && !self.may_have_been_sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spoken_is_a_turn_of_its_own_before_and_behind_what_is_written() {
        let spoken = |text: &str| Item {
            way: Way::Call {
                call: CallId::derived_from("CA1"),
                turn: 1,
                heard: None,
            },
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
    fn questions_that_piled_up_become_one_turn_in_their_order() {
        let queue = VecDeque::from([ask("a"), ask("b"), ask("c")]);

        let batch = turn(&queue);

        assert_eq!(batch.text.expose(), "a\n\nb\n\nc");
        assert_eq!(batch.first, id("a"));
        assert_eq!(batch.members, [id("a"), id("b"), id("c")]);
        assert_eq!(batch.way, Way::Chat(Wamid::new("wamid.c")));
    }

    #[test]
    fn what_may_have_been_asked_before_is_not_asked_together_with_more() {
        let mut again = ask("a");
        again.may_have_been_sent = true;

        assert_eq!(turn(&VecDeque::from([again, ask("b")])).members, [id("a")]);
    }

    #[test]
    fn a_turn_is_put_again_as_it_was_put_before() {
        let part = |name| Item {
            batch: Some(id("a")),
            may_have_been_sent: true,
            ..ask(name)
        };

        let batch = turn(&VecDeque::from([part("a"), part("b"), ask("c")]));

        assert_eq!(batch.members, [id("a"), id("b")]);
        assert!(batch.is_noted);
    }

    #[test]
    fn a_photo_in_between_keeps_its_place() {
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
    fn a_placeholder_lets_others_pass_until_its_time_is_over() {
        let placeholder = Item {
            plan: Plan::AwaitTheReal,
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
    fn stop_ends_what_was_written_before_it_and_nothing_after() {
        let stop = Item {
            plan: Plan::Obey(Command::Stop, "stop".into()),
            ..ask("b")
        };
        let mut queue = VecDeque::from([ask("a"), stop, ask("c")]);

        assert!(keep_before_stop(&mut queue));

        let plans: Vec<&Plan> = queue.iter().map(|item| &item.plan).collect();
        let (after, confirmed) = (Plan::Ask("c".into()), Plan::Say(Notice::Stopped));
        assert_eq!(plans, [&Plan::Keep, &confirmed, &after]);
        assert!(!keep_before_stop(&mut queue), "it is obeyed once");
    }

    #[test]
    fn a_written_stop_leaves_what_waits_on_the_phone() {
        let call = CallId::derived_from("CA1");
        let caller = Item {
            way: Way::AfterCall,
            plan: Plan::PutThrough(call),
            ..ask("a")
        };
        let stop = Item {
            plan: Plan::Obey(Command::Stop, "stop".into()),
            ..ask("b")
        };
        let mut queue = VecDeque::from([caller, stop]);

        assert!(keep_before_stop(&mut queue));

        assert_eq!(queue[0].plan, Plan::PutThrough(call));
    }

    #[test]
    fn a_turn_holds_a_bounded_number_of_messages() {
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

    fn id(name: &str) -> MessageId {
        MessageId::derived_from(name)
    }

    fn ask(text: &str) -> Item {
        Item {
            id: id(text),
            way: Way::Chat(Wamid::new(format!("wamid.{text}"))),
            sequence: 1,
            taken_at: DateTime::UNIX_EPOCH,
            plan: Plan::Ask(text.into()),
            batch: None,
            may_have_been_sent: false,
        }
    }
}
