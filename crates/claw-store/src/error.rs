use std::fmt;

use sea_orm::{DbErr, RuntimeErr, SqlxError};

use crate::KeyringError;

/// Why the store could not do it.
#[derive(thiserror::Error)]
pub enum StoreError {
    /// The database refused, or could not be asked.
    #[error("{operation}")]
    Database {
        /// What was being done.
        operation: &'static str,
        /// What the database or its driver said.
        #[source]
        source: DbErr,
    },
    /// The database took longer than any of our statements should.
    #[error("{operation}: no answer in time")]
    TimedOut {
        /// What was being done.
        operation: &'static str,
    },
    /// Others kept getting in between. A later try finds their work done.
    #[error("{operation}: others did it at the same moment")]
    Contended {
        /// What was being done.
        operation: &'static str,
    },
    /// Something that has to be there first is not.
    #[error("no such {what}")]
    Missing {
        /// What is missing.
        what: &'static str,
    },
    /// A row holds something this crate never writes.
    #[error("column {column} holds an unknown value")]
    Corrupt {
        /// Where it stands.
        column: &'static str,
    },
    /// A secret could not be sealed or opened.
    #[error("a sealed secret")]
    Sealed(#[from] KeyringError),
}

impl StoreError {
    /// Whether the same call may succeed later by itself: the connection was lost, the database was busy,
    /// starting or stopping, two transactions met. Also when the database refuses *us* (password, missing
    /// rights or database): an operator repairs that, and the call itself is not to blame.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database { source, .. } => is_transient(source),
            Self::TimedOut { .. } | Self::Contended { .. } => true,
            Self::Missing { .. } | Self::Corrupt { .. } | Self::Sealed(_) => false,
        }
    }
}

/// The driver's own `Debug` shows the values of the row that offended, so only its message is shown.
impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database { operation, source } => write!(f, "{operation}: {source}"),
            Self::Sealed(source) => write!(f, "{self}: {source}"),
            Self::TimedOut { .. }
            | Self::Contended { .. }
            | Self::Missing { .. }
            | Self::Corrupt { .. } => write!(f, "{self}"),
        }
    }
}

/// The SQLSTATE the server answered with, if it was the server that failed.
pub(crate) fn sqlstate(error: &DbErr) -> Option<String> {
    if let SqlxError::Database(database) = driver_error(error)? {
        database.code().map(Into::into)
    } else {
        None
    }
}

/// SQLSTATE classes that say nothing about the statement: connection, refused login, unknown database,
/// transaction rollback, insufficient resources, operator intervention, system error. And single codes:
/// lock not available, insufficient privilege, read-only (a standby, during failover).
const TRANSIENT_CLASSES: [&str; 7] = ["08", "28", "3D", "40", "53", "57", "58"];
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
