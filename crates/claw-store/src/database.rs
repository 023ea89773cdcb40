use std::time::Duration;

use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    EntityTrait, FromQueryResult, IdenStatic, Iterable, QueryResult, Statement, TransactionTrait,
    UpdateMany, Value,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use crate::StoreError;

/// Longest the server works on one statement, waits for locks included.
const STATEMENT_LIMIT: Duration = Duration::from_secs(10);
/// Longest a call takes from our side. Longer than [`STATEMENT_LIMIT`] and getting a connection
/// together, so it only ends calls to a server that fell silent.
const CALL_LIMIT: Duration = Duration::from_secs(15);
/// Longest a call waits for a connection, whether others hold them all or the server is away.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(3);
/// A connection that idled longer is asked whether it lives before it is used. Asking always would double
/// the round trips; one that died in less time costs one transient error.
const TRUSTED_WHILE_IDLE: Duration = Duration::from_secs(1);

/// Held while places and ports are counted and taken. Any number, the same in every process.
const LOCK_OF_PLACES: i64 = 0x6b61_6b61_0001;

/// The pool, and what every repository does with it.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) pool: DatabaseConnection,
}

impl Database {
    pub(crate) async fn connect(
        url: &SecretString,
        max_connections: u32,
    ) -> Result<Self, StoreError> {
        let mut options = ConnectOptions::new(url.expose_secret());
        options
            .max_connections(max_connections)
            .acquire_timeout(ACQUIRE_LIMIT)
            .statement_timeout(STATEMENT_LIMIT)
            .test_before_acquire_if_idle_for(TRUSTED_WHILE_IDLE);
        Ok(Self {
            pool: open(options).await?,
        })
    }

    /// Changes the row of one `what`; if there is none, it is missing.
    pub(crate) async fn update<E: EntityTrait>(
        &self,
        what: &'static str,
        operation: &'static str,
        update: UpdateMany<E>,
    ) -> Result<(), StoreError> {
        let changed = self.run(operation, update.exec(&self.pool)).await?;
        if changed.rows_affected > 0 {
            Ok(())
        } else {
            Err(StoreError::Missing { what })
        }
    }

    /// Runs `work`, with a limit and a name for its failure.
    pub(crate) async fn run<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<T, StoreError> {
        timeout(CALL_LIMIT, work)
            .await
            .map_err(|_| StoreError::TimedOut { operation })?
            .map_err(|source| StoreError::Database { operation, source })
    }

    /// The rows of one statement.
    pub(crate) async fn rows<const N: usize>(
        &self,
        operation: &'static str,
        sql: &str,
        values: [Value; N],
    ) -> Result<Vec<QueryResult>, StoreError> {
        self.run(operation, self.pool.query_all_raw(statement(sql, values)))
            .await
    }

    /// The row of a statement that always gives one.
    pub(crate) async fn row<const N: usize>(
        &self,
        operation: &'static str,
        sql: &str,
        values: [Value; N],
    ) -> Result<QueryResult, StoreError> {
        let rows = self.rows(operation, sql, values).await?;
        let none = || DbErr::RecordNotFound("a statement that always gives a row".to_owned());
        rows.into_iter()
            .next()
            .ok_or_else(none)
            .map_err(|source| StoreError::Database { operation, source })
    }

    /// A transaction that has the lock of places: who else wants it waits until this one ends. The lock
    /// has to be a statement of its own, because a statement sees the world as it was before it waited.
    pub(crate) async fn begin_with_places(&self) -> Result<DatabaseTransaction, DbErr> {
        let transaction = self.pool.begin().await?;
        let lock = statement("SELECT pg_advisory_xact_lock($1)", [LOCK_OF_PLACES.into()]);
        transaction.execute_raw(lock).await?;
        Ok(transaction)
    }
}

/// Opens a pool that logs no statement: their values are what people wrote.
pub(crate) async fn open(mut options: ConnectOptions) -> Result<DatabaseConnection, StoreError> {
    options.sqlx_logging(false).record_stmt_in_spans(false);
    sea_orm::Database::connect(options)
        .await
        .map_err(|source| StoreError::Database {
            operation: "connecting to the database",
            source,
        })
}

pub(crate) fn statement<const N: usize>(sql: &str, values: [Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

/// `s.id AS s_id, …`: every column an entity reads, for SQL written by hand, under the alias and with the
/// prefix that [`joined`] expects.
pub(crate) fn columns<E: EntityTrait>(alias: &str) -> String {
    let columns: Vec<String> = E::Column::iter()
        .map(|column| format!("{alias}.{name} AS {alias}_{name}", name = column.as_str()))
        .collect();
    columns.join(", ")
}

/// An entity's row out of a result whose columns were named by [`columns`]; `None` when the join found none.
pub(crate) fn joined<M: FromQueryResult>(
    operation: &'static str,
    row: &QueryResult,
    alias: &str,
) -> Result<Option<M>, StoreError> {
    Option::<M>::from_query_result(row, &format!("{alias}_"))
        .map_err(|source| StoreError::Database { operation, source })
}

/// One value out of a result.
pub(crate) fn read<T: sea_orm::TryGetable>(
    operation: &'static str,
    row: &QueryResult,
    column: &str,
) -> Result<T, StoreError> {
    row.try_get("", column)
        .map_err(|source| StoreError::Database { operation, source })
}
