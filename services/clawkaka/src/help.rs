//! The long help of each subcommand: its effect, examples, JSON, and exit status.

pub(crate) const SETTINGS: &str = "\
Settings (environment variables; an empty value counts as absent):
  NATS_URL      bus, dead, events, replay, suspend, resume, person (but not person disallow and person list),
                sandbox (but not sandbox list, show and policy)
                                    nats://admin:password@host:port
  DATABASE_URL  db, person, sandbox, invite, suspend, resume
                                    postgres://owner:password@host:port/database
  DATABASE_PASSWORD_PROVISIONER, DATABASE_PASSWORD_GATEWAY, DATABASE_PASSWORD_OUTBOUND
                db                  the new password of a service's role (optional)
  USER_ID_KEY   bus, db, person, sandbox
                                    64 hex digits, from which all user ids are derived; it must never change
                                    (person and sandbox need it for a number, and not for a user id)
  WHATSAPP_NUMBER
                invite create       our number, for a link to wa.me (optional)
Instead of each, <NAME>_FILE may name a file that holds the value; setting both is an error.

Results are printed on stdout, remarks and errors on stderr.
Exit status: 0 done, 1 failed, 2 the command line is wrong.";

pub(crate) const ENSURE: &str = "\
Run it after `clawkaka db migrate`, before the services start, and after each upgrade. Repeating it changes
nothing. It records a check value of USER_ID_KEY on the bus, and fails if the key is another one than before.
ingress does not start with a key that differs from the recorded one.

Example:
  clawkaka bus ensure

With --json, one line per stream and bucket: {\"kind\":\"stream\",\"name\":\"INBOUND\",\"account\":\"gateway\"}

Exit status: 0 everything is as this version needs it, 1 it is not, 2 the command line is wrong.";

pub(crate) const MIGRATE: &str = "\
Run it before the services start and after each upgrade. All migrations are applied, or none. It also
creates the services' roles, gives each its rights, and sets the passwords that are given. Repeating
it changes nothing, and several processes may run it at once. Waits up to 30 s for a database that is
just starting. It records a check value of USER_ID_KEY in the database, and fails if the key is another
one than before: with another key, every user would be a stranger.

Example:
  DATABASE_URL_FILE=/run/secrets/database_url clawkaka db migrate

Exit status: 0 the schema is up to date, 1 it is not, 2 the command line is wrong.";

pub(crate) const LIST: &str = "\
Prints the newest dead letters, oldest first, one per line, without their payloads.

Examples:
  clawkaka dead list
  clawkaka dead list --consumer gateway-turns --limit 200
  clawkaka dead list --json | jq -r 'select(.replayed_as == null).sequence'

With --json, one line per dead letter, with the fields sequence, time, consumer, event (null if the dead
letter was never an event of a stream), subject, reason, attempts, replayed_as (null if it was not replayed)
and error.

Exit status: 0 listed, also if there are none, 1 failed, 2 the command line is wrong.";

pub(crate) const SHOW: &str = "\
Prints all headers of one dead letter. Its payload holds personal data (texts, names, numbers) and is
printed only with --payload.

Examples:
  clawkaka dead show 17
  clawkaka dead show 17 --json --payload | jq -r .payload

With --json, one line with the fields position, subject, time, headers, payload_bytes and, with
--payload, payload: the text of the payload, where bytes that are not UTF-8 are replaced.

Exit status: 0 shown, 1 not stored or failed, 2 the command line is wrong.";

pub(crate) const REPLAY_LETTERS: &str = "\
Publishes the events of dead letters again. SEQ is the sequence in DEAD. Repeating the command replays
nothing twice; to replay a dead letter a second time, give a new ticket.

Examples:
  clawkaka dead replay 17 18
  clawkaka dead replay 17 --ticket OPS-1234
  clawkaka dead replay --all --consumer outbound-replies";

pub(crate) const REPLAY_EVENTS: &str = "\
Publishes past events again, for example events that were handled wrongly. With --to, all events from
FROM to the given sequence, at most 10000. If an end of the range is not stored, nothing is replayed.

Examples:
  clawkaka replay INBOUND 4711
  clawkaka replay INBOUND 4711 --to 4720 --ticket OPS-1234";

/// The effect of a replay, the same for dead letters and past events.
const REPLAY_MEANING: &str = "\
A replay is a new event at the end of its stream, with the subject and payload of the old event, an id of
its own, and a header `Claw-Replay-Of: STREAM:SEQ` that names the old event. Every consumer of the subject
receives the replay, not only the one that gave up. The replay is handled after everything the user has
sent since.

An event is replayed once for a ticket, as long as its stream keeps the replay (30 days). Without
--ticket, each dead letter is a ticket of its own, and so is each past event.

Consumers also remember the id inside an event, for ever, in the database, and do not repeat what they
have settled: a message that was answered is not put to the assistant again, and no answer is sent again.
A message that was given up is put to the assistant again, although its sender was told that no answer
would come.

With --json, one line per event: {\"position\":\"DEAD:17\",\"outcome\":\"replayed\",\"replayed_as\":\"INBOUND:90\"}
outcome is replayed or already_replayed; otherwise not_stored, not_an_event, original_gone or
not_the_original, with null as replayed_as.

Exit status: 0 all are replayed, now or earlier, 1 some are not, 2 the command line is wrong.";

pub(crate) const EVENTS: &str = "\
Prints the newest operator events, oldest first, one per line. An operator event reports a problem that only
an operator can solve, such as a restricted account, and says what to do. A repeated report is stored at most
once an hour. no_place_to_wake, sandboxes_elsewhere and port_refused are reported when the problem begins and
not repeated while it lasts. Events are kept for 90 days.

Examples:
  clawkaka events
  clawkaka events --follow
  clawkaka events --kind sandbox_failed --json | jq -r .event.user

With --json, one line per event, with the fields sequence, time, service, kind, text and event (null if
this version of clawkaka does not know the kind).

Exit status: 0 listed, also if there are none, 1 failed, 2 the command line is wrong.";

pub(crate) const PERSON: &str = "\
A user on the allow list is admitted whatever ADMISSION says, also if it is closed, and is not counted. No
message or call from a user on the block list is handled, and no reply is sent to them. The assistant of a
blocked user is stopped as by `clawkaka person suspend`, but the user is told nothing, what they write
meanwhile is dropped, and so are replies to them. Messages from before the block are answered after
`unblock`. A user is on one list at most. The lists hold user ids, which are derived from numbers.

`block`, `unblock` and `allow` change the database first and then signal the running services. Repeating
them is harmless.

Examples:
  clawkaka person block +15551234567 --note spam
  clawkaka person unblock +15551234567
  clawkaka person allow +15551234567
  clawkaka person disallow +15551234567
  clawkaka person list --json | jq -r .user

With --json, one line per user on a list, with the fields user, list, since and note.

Exit status: 0 done, also if nothing has changed, 1 failed, 2 the command line is wrong.";

pub(crate) const SANDBOX: &str = "\
A sandbox that nobody uses goes to sleep: its container is removed, and its model key and its volume with the
assistant's memory are kept. A message, a call, a job and a few heartbeats a day wake it. The policy of a user is
`sleep`, unless you set `always-on`, or `off`: then only messages and calls wake it. `always-on` does not wake a
sandbox that sleeps; `off` also cancels a planned wake. The policy survives `remove`.

`restart`, `wake` and `remove` are stored, and the provisioner carries them out even if it is not running now.
`restart` gives a running turn 45 seconds to end. If the user is suspended, a start waits for the end of the
suspension. `remove` waits for nothing, and deletes the container, the model key and the volume: the assistant
forgets everything. If the user writes again, they get a new sandbox.

`sleep` waits until nobody needs the sandbox. The gateway carries it out and does not store it: it is lost if no
gateway runs, or if the gateway restarts first. It has no effect with the policy `always-on`, or while the user is
suspended or blocked.

Examples:
  clawkaka sandbox list --status failed
  clawkaka sandbox list --limit 1000 --json | jq -r .user
  clawkaka sandbox show +15551234567
  clawkaka sandbox restart +15551234567
  clawkaka sandbox sleep usr_18acce9cb8d55882a19accce2dfb9f91
  clawkaka sandbox wake +15551234567
  clawkaka sandbox remove +15551234567 --forget
  clawkaka sandbox policy +15551234567 always-on

With --json, one line per sandbox, with the fields user, sandbox, status, failure, policy, start, failures, port,
engine, model, wakes_at, wakes_for, retried_at and changed_at.

Exit status: 0 done or ordered, 1 failed or the user has no sandbox, 2 the command line is wrong.";

pub(crate) const INVITE: &str = "\
A newcomer whose message contains the code is admitted, also if ADMISSION is open and its limits are reached,
but not if ADMISSION is closed. The code is printed once, by `create`, and stored nowhere. If WHATSAPP_NUMBER
is set, `create` also prints a link that opens a chat with the code typed in.

Examples:
  clawkaka invite create
  clawkaka invite create --uses 20 --expires 7d --note class
  clawkaka invite list --json | jq -r .id
  clawkaka invite revoke CLAW-0000-0000-0000-0000

With --json, `create` prints a line with the fields id, code, link (null without a number), uses and
expires_at, and `list` one line per invite with id, uses, used, expires_at, created_at and note.

Exit status: 0 done, 1 failed or no such invite, 2 the command line is wrong.";

pub(crate) const SUSPEND: &str = "\
While a user is suspended, their running turn is aborted and its answer is not sent. Nothing is sent to their
assistant, and nothing to them except one line that says that they are paused. Their model key is disabled.
If they call, they hear a line and the call ends. Their sandbox goes on running. Messages that they write
meanwhile wait, and so do the texts of their assistant. After `resume` each message is answered once, in
order. If you suspend a suspended user again, only the reason changes.

The command changes the database first and then signals the running services. Repeating it is harmless.

Examples:
  clawkaka person suspend +15551234567 --reason abuse
  clawkaka person resume +15551234567
  clawkaka person resume usr_18acce9cb8d55882a19accce2dfb9f91 --reason cleared

With --json, one line: {\"user\":\"usr_…\",\"outcome\":\"suspended\",\"users\":1}
outcome is suspended, reason_changed, resumed or not_suspended.

Exit status: 0 done, also if there was nothing to do, 1 failed or an unknown user, 2 the command line is wrong.";

pub(crate) const SUSPEND_ALL: &str = "\
Does for everybody, newcomers included, what `clawkaka person suspend` does for one user. Only users who write
meanwhile are told, once each. The suspension survives restarts of all services. `resume --all` does not
resume users who were suspended one by one.

Examples:
  clawkaka suspend --all --reason incident-7
  clawkaka resume --all --reason solved

With --json, one line: {\"user\":null,\"outcome\":\"suspended\",\"users\":1234}
users is the number of known users.

Exit status: 0 done, also if there was nothing to do, 1 failed, 2 the command line is wrong.";

pub(crate) const METRICS: &str = "\
Prints the name, type, labels and meaning of each metric as a table in Markdown. Needs no settings.

Examples:
  clawkaka metrics
  clawkaka metrics --json | jq -r .name

With --json, one line per metric, with the fields name, type, help and labels.

Exit status: 0 printed, 1 failed, 2 the command line is wrong.";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  clawkaka completions bash > /etc/bash_completion.d/clawkaka
  source <(clawkaka completions zsh)

Exit status: 0 printed, 1 failed, 2 the command line is wrong.";

/// The help of a command that replays, with [`REPLAY_MEANING`].
pub(crate) fn with_replay(help: &str) -> String {
    format!("{help}\n\n{REPLAY_MEANING}")
}
