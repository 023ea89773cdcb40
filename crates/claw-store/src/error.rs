use std::fmt;

use sea_orm::{DbErr, RuntimeErr, SqlxError};

use crate::KeyringError;

/// Why a call to the store failed.
#[derive(thiserror::Error)]
pub enum StoreError {
    /// The database refused the statement or could not be reached.
    #[error("{operation}")]
    Database {
        /// The operation, as in "reading a user".
        operation: &'static str,
        /// The error of the database or its driver.
        #[source]
        source: DbErr,
    },
    /// The database did not answer within the time limit.
    #[error("{operation}: the database did not answer in time")]
    TimedOut {
        /// The operation, as in "reading a user".
        operation: &'static str,
    },
    /// Concurrent calls kept interfering. A retry finds their work done.
    #[error("{operation}: concurrent calls kept interfering")]
    Contended {
        /// The operation, as in "reading a user".
        operation: &'static str,
    },
    /// A row that must exist does not.
    #[error("no such {what}")]
    Missing {
        /// The kind of the missing row.
        what: &'static str,
    },
    /// A column holds a value that this crate never writes.
    #[error("column {column} holds an unknown value")]
    Corrupt {
        /// The table and the column.
        column: &'static str,
    },
    /// The database began with another key for user ids.
    #[error(
        "USER_ID_KEY is not the key with which this installation began: with it, every user would be a stranger. \
         Restore the old key"
    )]
    OtherUserIdKey,
    /// A secret could not be sealed or opened.
    #[error("sealing or opening a secret")]
    Sealed(#[from] KeyringError),
}

impl StoreError {
    /// Whether a retry of the same call may succeed: the connection was lost, the database was busy, starting
    /// or stopping, or transactions collided. Also true if the database refuses the connection (password,
    /// missing privileges or database): an operator repairs that, and the call itself is valid.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database { source, .. } => is_transient(source),
            Self::TimedOut { .. } | Self::Contended { .. } => true,
            Self::Missing { .. }
            | Self::Corrupt { .. }
            | Self::OtherUserIdKey
            | Self::Sealed(_) => false,
        }
    }
}

/// Shows the driver's message only: its `Debug` includes the values of the offending row.
impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database { operation, source } => write!(f, "{operation}: {source}"),
            Self::Sealed(source) => write!(f, "{self}: {source}"),
            Self::TimedOut { .. }
            | Self::Contended { .. }
            | Self::Missing { .. }
            | Self::Corrupt { .. }
            | Self::OtherUserIdKey => write!(f, "{self}"),
        }
    }
}

/// The SQLSTATE of the server's error; `None` if the error is not the server's.
pub(crate) fn sqlstate(error: &DbErr) -> Option<String> {
    if let SqlxError::Database(database) = driver_error(error)? {
        database.code().map(Into::into)
    } else {
        None
    }
}

/// SQLSTATE classes that do not blame the statement: connection, refused login, unknown database,
/// transaction rollback, insufficient resources, operator intervention, system error.
const TRANSIENT_CLASSES: [&str; 7] = ["08", "28", "3D", "40", "53", "57", "58"];
/// Lock not available, insufficient privilege, read-only transaction (a standby, during failover).
const TRANSIENT_CODES: [&str; 3] = ["55P03", "42501", "25006"];

fn is_transient(error: &DbErr) -> bool {
    if let Some(code) = sqlstate(error) {
        return TRANSIENT_CODES.contains(&code.as_str())
            || TRANSIENT_CLASSES
                .iter()
                .any(|class| code.starts_with(class));
    }
    matches!(error, DbErr::ConnectionAcquire(_)) || driver_error(error).is_some_and(lost_connection)
}

fn lost_connection(error: &SqlxError) -> bool {
    matches!(
        error,
        SqlxError::Io(_)
            | SqlxError::Tls(_)
            | SqlxError::Protocol(_)
            | SqlxError::PoolTimedOut
            | SqlxError::PoolClosed
            | SqlxError::WorkerCrashed
            | SqlxError::BeginFailed
    )
}

fn driver_error(error: &DbErr) -> Option<&SqlxError> {
    if let DbErr::Conn(source) | DbErr::Exec(source) | DbErr::Query(source) = error
        && let RuntimeErr::SqlxError(source) = source
    {
        Some(source)
    } else {
        None
    }
}
