use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::frame::Refusal;

/// Refused logins within `WINDOW` after which all logins are refused.
const FAILURES_ALLOWED: usize = 10;

/// The period in which refused logins are counted.
const WINDOW: Duration = Duration::from_mins(1);

/// How long all logins are refused after too many failures.
const LOCKED_FOR: Duration = Duration::from_mins(5);

/// The approved devices of one sandbox, its pairing requests and its refused logins.
#[derive(Default)]
pub(crate) struct Devices {
    approved: HashMap<String, Approved>,
    requests: HashMap<String, DeviceRequest>,
    failures: VecDeque<Instant>,
    locked_until: Option<Instant>,
}

struct Approved {
    platform: String,
    scopes: BTreeSet<String>,
    token: String,
}

/// The access that a device requests in `connect`.
#[derive(Debug, Clone)]
pub(crate) struct DeviceRequest {
    pub(crate) device_id: String,
    pub(crate) role: String,
    pub(crate) platform: String,
    pub(crate) scopes: Vec<String>,
}

impl Devices {
    /// How long logins will still be refused, even with the right token; `None` if they are not.
    pub(crate) fn locked_for(&self) -> Option<Duration> {
        let left = self.locked_until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Counts a refused login; true if it locks all logins.
    pub(crate) fn count_failure(&mut self) -> bool {
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

    /// Revokes all approvals, as the loss of the volume does.
    pub(crate) fn forget(&mut self) {
        self.approved.clear();
    }

    /// The token that an approved device may use instead of the sandbox's token.
    pub(crate) fn token_of(&self, device_id: &str) -> Option<&str> {
        self.approved
            .get(device_id)
            .map(|device| device.token.as_str())
    }

    /// Approves a pairing request by its id or by its device's id; false if there is none.
    pub(crate) fn approve_request(&mut self, id: &str) -> bool {
        let request = self.requests.remove(id).or_else(|| {
            let of_device = |request: &&DeviceRequest| request.device_id == id;
            self.requests.values().find(of_device).cloned()
        });
        let Some(request) = request else {
            return false;
        };
        self.requests
            .retain(|_, other| other.device_id != request.device_id);
        self.approve(&request);
        true
    }

    pub(crate) fn approve(&mut self, request: &DeviceRequest) {
        let device = Approved {
            platform: request.platform.to_lowercase(),
            scopes: request.scopes.iter().cloned().collect(),
            token: format!("device-token-{}", Uuid::new_v4().simple()),
        };
        self.approved.insert(request.device_id.clone(), device);
    }

    /// Admits an approved device. For any other it files a pairing request and returns its id in the refusal.
    pub(crate) fn admit(&mut self, request: &DeviceRequest) -> Result<(), Refusal> {
        let reason = match self.approved.get(&request.device_id) {
            None => "not-paired",
            Some(_) if request.role != "operator" => "role-upgrade",
            Some(device) if device.platform != request.platform.to_lowercase() => {
                "metadata-upgrade"
            }
            Some(device) if !device.covers(&request.scopes) => "scope-upgrade",
            Some(_) => return Ok(()),
        };
        Err(self.file_request(request, reason))
    }

    fn file_request(&mut self, request: &DeviceRequest, reason: &str) -> Refusal {
        let known = self
            .requests
            .iter()
            .find(|(_, other)| other.device_id == request.device_id)
            .map(|(id, _)| id.clone());
        let request_id = known.unwrap_or_else(|| Uuid::new_v4().to_string());
        self.requests.insert(request_id.clone(), request.clone());
        let mut details = json!({
            "code": "PAIRING_REQUIRED",
            "reason": reason,
            "requestId": request_id,
            "remediationHint": "Approve this device from the pending pairing requests.",
            "deviceId": request.device_id,
            "requestedRole": request.role,
            "requestedScopes": request.scopes,
        });
        if let Some(device) = self.approved.get(&request.device_id) {
            details["approvedRoles"] = json!(["operator"]);
            details["approvedScopes"] = json!(device.scopes);
        }
        Refusal {
            code: "NOT_PAIRED",
            message: format!("pairing required: {}", description_of(reason)),
            retry_after_ms: None,
            details: Some(details),
        }
    }

    /// The answer to `device.pair.list`.
    pub(crate) fn list(&self) -> Value {
        let pending: Vec<Value> = self
            .requests
            .iter()
            .map(|(id, request)| json!({ "requestId": id, "deviceId": request.device_id }))
            .collect();
        let paired: Vec<Value> = self
            .approved
            .keys()
            .map(|device_id| json!({ "deviceId": device_id }))
            .collect();
        json!({ "pending": pending, "paired": paired })
    }
}

/// All scopes that exist; `operator.admin` includes the others.
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

fn description_of(reason: &str) -> &'static str {
    match reason {
        "not-paired" => "device is not approved yet",
        "role-upgrade" => "device is asking for a higher role than currently approved",
        "metadata-upgrade" => "device identity changed and must be re-approved",
        _ => "device is asking for more scopes than currently approved",
    }
}
