//! A WhatsApp that keeps what it was told, for the tests of whoever sends.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use claw_domain::{Address, DeliveryId, Wamid};

use crate::send::{Refusal, SendError, Template, WhatsApp};

/// A WhatsApp in memory. Takes everything, unless told otherwise for the next sends.
#[derive(Debug, Default)]
pub struct FakeWhatsApp(Mutex<World>);

#[derive(Debug, Default)]
struct World {
    taken: Vec<Taken>,
    read: Vec<Wamid>,
    plans: VecDeque<Plan>,
    attempts: usize,
}

/// A message the fake took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// For whom.
    pub to: Address,
    /// What it says.
    pub text: String,
    /// The template that says it, if one does.
    pub template: Option<Template>,
    /// The sender's own id of it.
    pub tracker: DeliveryId,
    /// The id it was given.
    pub wamid: Wamid,
}

/// What becomes of the next send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// It is taken and answered.
    Take,
    /// It is taken, and the answer is lost.
    TakeWithoutAnswer,
    /// It is lost, and so is the answer.
    Lose,
    /// No connection.
    Unreachable,
    /// It is refused with this code.
    Refuse(i64),
}

impl FakeWhatsApp {
    /// Plans the sends to come, in order; after them everything is taken.
    pub fn plan(&self, plans: impl IntoIterator<Item = Plan>) {
        self.world().plans.extend(plans);
    }

    /// Everything it took, in order.
    pub fn taken(&self) -> Vec<Taken> {
        self.world().taken.clone()
    }

    /// The texts this person was sent, in order.
    pub fn texts_to(&self, to: &Address) -> Vec<String> {
        let world = self.world();
        let theirs = world.taken.iter().filter(|taken| taken.to == *to);
        theirs.map(|taken| taken.text.clone()).collect()
    }

    /// How often a send was attempted, whatever became of it.
    pub fn attempts(&self) -> usize {
        self.world().attempts
    }

    /// The messages marked as read, in order.
    pub fn read(&self) -> Vec<Wamid> {
        self.world().read.clone()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.world().send(to, None, text, tracker)
    }

    async fn send_template(
        &self,
        to: &Address,
        template: &Template,
        text: &str,
        tracker: DeliveryId,
    ) -> Result<Wamid, SendError> {
        self.world().send(to, Some(template), text, tracker)
    }

    async fn mark_read_and_typing(&self, wamid: &Wamid) -> Result<(), SendError> {
        self.world().read.push(wamid.clone());
        Ok(())
    }
}

impl World {
    fn send(
        &mut self,
        to: &Address,
        template: Option<&Template>,
        text: &str,
        tracker: DeliveryId,
    ) -> Result<Wamid, SendError> {
        self.attempts += 1;
        match self.plans.pop_front().unwrap_or(Plan::Take) {
            Plan::Take => Ok(self.take(to, template, text, tracker)),
            Plan::TakeWithoutAnswer => {
                self.take(to, template, text, tracker);
                Err(SendError::Unknown("the answer was lost".into()))
            }
            Plan::Lose => Err(SendError::Unknown("the request was lost".into())),
            Plan::Unreachable => Err(SendError::NotSent("connection refused".into())),
            Plan::Refuse(code) => Err(SendError::refused(Refusal::with_code(code))),
        }
    }

    fn take(
        &mut self,
        to: &Address,
        template: Option<&Template>,
        text: &str,
        tracker: DeliveryId,
    ) -> Wamid {
        let wamid = Wamid::new(format!("wamid.fake.{}", self.taken.len() + 1));
        self.taken.push(Taken {
            to: to.clone(),
            text: text.to_owned(),
            template: template.cloned(),
            tracker,
            wamid: wamid.clone(),
        });
        wamid
    }
}
