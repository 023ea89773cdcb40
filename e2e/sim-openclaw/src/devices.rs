use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::frame::Refusal;

/// Failed tries in `WINDOW` after which nobody gets in.
const FAILURES_ALLOWED: usize = 10;

/// Time in which failures add up.
const WINDOW: Duration = Duration::from_mins(1);

/// Time nobody gets in after that.
const LOCKED_FOR: Duration = Duration::from_mins(5);

/// Devices of one sandbox, and who was turned away.
#[derive(Default)]
pub(crate) struct Devices {
    approved: HashMap<String, Approved>,
    requests: HashMap<String, Asked>,
    failures: VecDeque<Instant>,
    locked_until: Option<Instant>,
}

struct Approved {
    platform: String,
    scopes: BTreeSet<String>,
    token: String,
}

/// What a device asks for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) device_id: String,
    pub(crate) role: String,
    pub(crate) platform: String,
    pub(crate) scopes: Vec<String>,
}

impl Devices {
    /// Whether logins are refused whatever the token, and for how long yet.
    pub(crate) fn locked_for(&self) -> Option<Duration> {
        let left = self.locked_until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Counts a refused login; true when it was one too many.
    pub(crate) fn note_failure(&mut self) -> bool {
        let now = Instant::now();
        self.failures.push_back(now);
        while self.failures.front().is_some_and(|at| now - *at > WINDOW) {
            self.failures.pop_front();
        }
        let is_too_much = self.failures.len() >= FAILURES_ALLOWED;
        if is_too_much {
            self.locked_until = Some(now + LOCKED_FOR);
            self.failures.clear();
        }
        is_too_much
    }

    pub(crate) fn unlock(&mut self) {
        self.locked_until = None;
        self.failures.clear();
    }

    /// Forgets every approval.
    pub(crate) fn forget(&mut self) {
        self.approved.clear();
    }

    /// The token a device may use in place of the gateway's.
    pub(crate) fn token_of(&self, device_id: &str) -> Option<&str> {
        self.approved
            .get(device_id)
            .map(|device| device.token.as_str())
    }

    /// Approves what was asked for under `request_id`, or the device of that id.
    pub(crate) fn approve_request(&mut self, id: &str) -> bool {
        let request = self.requests.remove(id).or_else(|| {
            let of_device = |asked: &&Asked| asked.device_id == id;
            self.requests.values().find(of_device).cloned()
        });
        let Some(asked) = request else {
            return false;
        };
        self.requests
            .retain(|_, other| other.device_id != asked.device_id);
        self.approve(&asked);
        true
    }

    pub(crate) fn approve(&mut self, asked: &Asked) {
        let device = Approved {
            platform: asked.platform.to_lowercase(),
            scopes: asked.scopes.iter().cloned().collect(),
            token: format!("device-token-{}", Uuid::new_v4().simple()),
        };
        self.approved.insert(asked.device_id.clone(), device);
    }

    /// Lets an approved device in, or files a request and says which.
    pub(crate) fn admit(&mut self, asked: &Asked) -> Result<(), Refusal> {
        let reason = match self.approved.get(&asked.device_id) {
            None => "not-paired",
            Some(_) if asked.role != "operator" => "role-upgrade",
            Some(device) if device.platform != asked.platform.to_lowercase() => "metadata-upgrade",
            Some(device) if !device.covers(&asked.scopes) => "scope-upgrade",
            Some(_) => return Ok(()),
        };
        Err(self.file_request(asked, reason))
    }

    fn file_request(&mut self, asked: &Asked, reason: &str) -> Refusal {
        let known = self
            .requests
            .iter()
            .find(|(_, other)| other.device_id == asked.device_id)
            .map(|(id, _)| id.clone());
        let request_id = known.unwrap_or_else(|| Uuid::new_v4().to_string());
        self.requests.insert(request_id.clone(), asked.clone());
        let mut details = json!({
            "code": "PAIRING_REQUIRED",
            "reason": reason,
            "requestId": request_id,
            "remediationHint": "Approve this device from the pending pairing requests.",
            "deviceId": asked.device_id,
            "requestedRole": asked.role,
            "requestedScopes": asked.scopes,
        });
        if let Some(device) = self.approved.get(&asked.device_id) {
            details["approvedRoles"] = json!(["operator"]);
            details["approvedScopes"] = json!(device.scopes);
        }
        Refusal {
            code: "NOT_PAIRED",
            message: format!("pairing required: {}", words(reason)),
            retry_after_ms: None,
            details: Some(details),
        }
    }

    /// `device.pair.list`.
    pub(crate) fn list(&self) -> Value {
        let pending: Vec<Value> = self
            .requests
            .iter()
            .map(|(id, asked)| json!({ "requestId": id, "deviceId": asked.device_id }))
            .collect();
        let paired: Vec<Value> = self
            .approved
            .keys()
            .map(|device_id| json!({ "deviceId": device_id }))
            .collect();
        json!({ "pending": pending, "paired": paired })
    }
}

/// Scopes there are; approving `operator.admin` approves them all.
const KNOWN_SCOPES: [&str; 8] = [
    "operator.read",
    "operator.write",
    "operator.admin",
    "operator.approvals",
    "operator.questions",
    "operator.pairing",
    "operator.talk",
    "operator.talk.secrets",
];

impl Approved {
    fn covers(&self, scopes: &[String]) -> bool {
        let is_admin = self.scopes.contains("operator.admin");
        scopes.iter().all(|scope| {
            self.scopes.contains(scope) || (is_admin && KNOWN_SCOPES.contains(&scope.as_str()))
        })
    }
}

fn words(reason: &str) -> &'static str {
    match reason {
        "not-paired" => "device is not approved yet",
        "role-upgrade" => "device is asking for a higher role than currently approved",
        "metadata-upgrade" => "device identity changed and must be re-approved",
        _ => "device is asking for more scopes than currently approved",
    }
}
