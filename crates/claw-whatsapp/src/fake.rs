//! An in-memory WhatsApp for tests.

use std::collections::VecDeque;

use async_trait::async_trait;
use claw_domain::{Address, DeliveryId, Wamid};
use parking_lot::Mutex;

use crate::send::{Refusal, SendError, Template, WhatsApp};

/// A WhatsApp in memory. It accepts every message, unless another result is planned for the next ones.
#[derive(Debug, Default)]
pub struct FakeWhatsApp(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    accepted: Vec<AcceptedMessage>,
    read: Vec<Wamid>,
    plans: VecDeque<Plan>,
    attempts: usize,
}

/// A message that the fake accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedMessage {
    /// The address that the message was sent to.
    pub to: Address,
    /// The text, or the parameter of the template.
    pub text: String,
    /// The template, if it was sent as one.
    pub template: Option<Template>,
    /// The sender's id of the message.
    pub tracker: DeliveryId,
    /// The id that the fake gave it.
    pub wamid: Wamid,
}

/// The planned result of a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// The message is accepted.
    Accept,
    /// The message is accepted, and the answer is lost.
    AcceptWithoutAnswer,
    /// The request is lost.
    Lose,
    /// There is no connection.
    Unreachable,
    /// The message is refused with this code.
    Refuse(i64),
}

impl FakeWhatsApp {
    /// Plans the results of the next sends, in order.
    pub fn plan(&self, plans: impl IntoIterator<Item = Plan>) {
        self.0.lock().plans.extend(plans);
    }

    /// The accepted messages, in order.
    pub fn accepted(&self) -> Vec<AcceptedMessage> {
        self.0.lock().accepted.clone()
    }

    /// The accepted texts to this recipient, in order.
    pub fn texts_to(&self, to: &Address) -> Vec<String> {
        let state = self.0.lock();
        let messages = state.accepted.iter().filter(|message| message.to == *to);
        messages.map(|message| message.text.clone()).collect()
    }

    /// The number of sends, whatever their result.
    pub fn attempts(&self) -> usize {
        self.0.lock().attempts
    }

    /// The messages marked as read, in order.
    pub fn marked_read(&self) -> Vec<Wamid> {
        self.0.lock().read.clone()
    }
}

#[async_trait]
impl WhatsApp for FakeWhatsApp {
    async fn send_text(
        &self,
        to: &Address,
        text: &str,
        tracker: DeliveryId,
    ) -> Result<Wamid, SendError> {
        self.0.lock().send(to, None, text, tracker)
    }

    async fn send_template(
        &self,
        to: &Address,
        template: &Template,
        text: &str,
        tracker: DeliveryId,
    ) -> Result<Wamid, SendError> {
        self.0.lock().send(to, Some(template), text, tracker)
    }

    async fn mark_read_and_typing(&self, wamid: &Wamid) -> Result<(), SendError> {
        self.0.lock().read.push(wamid.clone());
        Ok(())
    }
}

impl State {
    fn send(
        &mut self,
        to: &Address,
        template: Option<&Template>,
        text: &str,
        tracker: DeliveryId,
    ) -> Result<Wamid, SendError> {
        self.attempts += 1;
        match self.plans.pop_front().unwrap_or(Plan::Accept) {
            Plan::Accept => Ok(self.accept(to, template, text, tracker)),
            Plan::AcceptWithoutAnswer => {
                self.accept(to, template, text, tracker);
                Err(SendError::Unknown("the answer was lost".into()))
            }
            Plan::Lose => Err(SendError::Unknown("the request was lost".into())),
            Plan::Unreachable => Err(SendError::NotSent("connection refused".into())),
            Plan::Refuse(code) => Err(SendError::refused(Refusal::with_code(code))),
        }
    }

    fn accept(
        &mut self,
        to: &Address,
        template: Option<&Template>,
        text: &str,
        tracker: DeliveryId,
    ) -> Wamid {
        let wamid = Wamid::new(format!("wamid.fake.{}", self.accepted.len() + 1));
        self.accepted.push(AcceptedMessage {
            to: to.clone(),
            text: text.to_owned(),
            template: template.cloned(),
            tracker,
            wamid: wamid.clone(),
        });
        wamid
    }
}
