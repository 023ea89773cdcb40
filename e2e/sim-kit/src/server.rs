//! An HTTP server whose connections can be cut without an answer, as happens in real networks.

use std::{
    fmt::Debug,
    io,
    net::SocketAddr,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener, ListenerExt},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A running HTTP server. Dropping it cuts every connection, like the death of the process.
#[derive(Debug)]
pub struct HttpServer {
    addr: SocketAddr,
    running: Running,
}

impl HttpServer {
    /// Serves `router` on `addr`; port 0 picks a free port.
    pub async fn start(addr: SocketAddr, router: Router) -> io::Result<Self> {
        let tcp = TcpListener::bind(addr).await?;
        let addr = tcp.local_addr()?;
        Ok(Self {
            addr,
            running: Running::start(tcp.tap_io(send_at_once), router),
        })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Cuts every connection and waits until the port is free again.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// A running HTTP server on a Unix socket. Dropping it cuts every connection and leaves the socket's file, like
/// the death of the process: clients are then refused.
#[derive(Debug)]
pub struct UnixHttpServer(Running);

impl UnixHttpServer {
    /// Serves `router` on the socket at `path`, at which no file may exist.
    pub fn start(path: &Path, router: Router) -> io::Result<Self> {
        Ok(Self(Running::start(UnixListener::bind(path)?, router)))
    }

    /// Cuts every connection and waits until new ones are refused.
    pub async fn stop(self) {
        self.0.stop().await;
    }
}

/// The task of a server.
#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start<L: Listener<Addr: Debug>>(listener: L, router: Router) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, router, stop.clone()));
        Self { stop, task }
    }

    async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.task).await.ok();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Serves connections that the caller has accepted on `addr`, until `stop`.
pub async fn serve_connections(
    connections: mpsc::Receiver<(TcpStream, SocketAddr)>,
    addr: SocketAddr,
    router: Router,
    stop: CancellationToken,
) {
    let accepted = Accepted { connections, addr };
    serve(accepted.tap_io(send_at_once), router, stop).await;
}

fn send_at_once(tcp: &mut TcpStream) {
    tcp.set_nodelay(true).ok();
}

async fn serve<L: Listener<Addr: Debug>>(listener: L, router: Router, stop: CancellationToken) {
    let service = router.into_make_service_with_connect_info::<Connection>();
    let listener = CuttableListener {
        listener,
        stop: stop.clone(),
    };
    tokio::select! {
        () = stop.cancelled() => {}
        _ = axum::serve(listener, service) => {}
    }
}

/// The connection of a request; an axum handler gets it with `ConnectInfo`.
#[derive(Debug, Clone)]
pub struct Connection(CancellationToken);

impl Connection {
    /// Cuts the connection; requests in flight get no answer.
    pub fn cut(&self) {
        self.0.cancel();
    }
}

impl<L: Listener> Connected<IncomingStream<'_, CuttableListener<L>>> for Connection {
    fn connect_info(stream: IncomingStream<'_, CuttableListener<L>>) -> Self {
        Self(stream.io().cut.clone())
    }
}

/// Yields connections that can be cut.
struct CuttableListener<L> {
    listener: L,
    stop: CancellationToken,
}

impl<L: Listener> Listener for CuttableListener<L> {
    type Io = Cuttable<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, from) = self.listener.accept().await;
        (Cuttable::new(stream, self.stop.child_token()), from)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// Connections that the caller has accepted.
struct Accepted {
    connections: mpsc::Receiver<(TcpStream, SocketAddr)>,
    addr: SocketAddr,
}

impl Listener for Accepted {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        match self.connections.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }
}

/// A stream on which reads and writes fail once it is cut.
struct Cuttable<Io> {
    io: Io,
    cut: CancellationToken,
    cut_happens: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<Io> Cuttable<Io> {
    fn new(io: Io, cut: CancellationToken) -> Self {
        Self {
            io,
            cut_happens: Box::pin(cut.clone().cancelled_owned()),
            cut,
        }
    }

    fn is_cut(&mut self, cx: &mut Context<'_>) -> bool {
        self.cut.is_cancelled() || self.cut_happens.as_mut().poll(cx).is_ready()
    }
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl<Io: AsyncRead + Unpin> AsyncRead for Cuttable<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_cut(cx) {
            return Poll::Ready(Err(reset()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Cuttable<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.cut.is_cancelled() {
            return Poll::Ready(Err(reset()));
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.cut.is_cancelled() {
            return Poll::Ready(Err(reset()));
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
