//! An HTTP server whose connections can be cut without an answer, as happens in real networks.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A running HTTP server. Dropping it cuts every connection, like the death of the process.
#[derive(Debug)]
pub struct HttpServer {
    addr: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl HttpServer {
    /// Serves `router` on `addr`; port 0 picks a free port.
    pub async fn start(addr: SocketAddr, router: Router) -> io::Result<Self> {
        let tcp = TcpListener::bind(addr).await?;
        let addr = tcp.local_addr()?;
        let stop = CancellationToken::new();
        let listener = CuttableListener {
            accept: Accept::Listener(tcp),
            stop: stop.clone(),
        };
        Ok(Self {
            addr,
            task: tokio::spawn(serve(listener, router, stop.clone())),
            stop,
        })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Cuts every connection and waits until the port is free again.
    pub async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.task).await.ok();
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Serves connections that the caller has accepted on `addr`, until `stop`.
pub async fn serve_connections(
    connections: tokio::sync::mpsc::Receiver<(TcpStream, SocketAddr)>,
    addr: SocketAddr,
    router: Router,
    stop: CancellationToken,
) {
    let listener = CuttableListener {
        accept: Accept::Channel(connections, addr),
        stop: stop.clone(),
    };
    serve(listener, router, stop).await;
}

async fn serve(listener: CuttableListener, router: Router, stop: CancellationToken) {
    let service = router.into_make_service_with_connect_info::<Connection>();
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

impl Connected<IncomingStream<'_, CuttableListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        Self(stream.io().cut.clone())
    }
}

/// Yields connections that can be cut.
struct CuttableListener {
    accept: Accept,
    stop: CancellationToken,
}

enum Accept {
    Listener(TcpListener),
    Channel(
        tokio::sync::mpsc::Receiver<(TcpStream, SocketAddr)>,
        SocketAddr,
    ),
}

impl Listener for CuttableListener {
    type Io = Cuttable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Cuttable, SocketAddr) {
        let (tcp, from) = match &mut self.accept {
            Accept::Listener(tcp) => Listener::accept(tcp).await,
            Accept::Channel(connections, _) => match connections.recv().await {
                Some(connection) => connection,
                None => std::future::pending().await,
            },
        };
        tcp.set_nodelay(true).ok();
        (Cuttable::new(tcp, self.stop.child_token()), from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.accept {
            Accept::Listener(tcp) => tcp.local_addr(),
            Accept::Channel(_, addr) => Ok(*addr),
        }
    }
}

/// A TCP stream on which reads and writes fail once it is cut.
struct Cuttable {
    tcp: TcpStream,
    cut: CancellationToken,
    cut_happens: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Cuttable {
    fn new(tcp: TcpStream, cut: CancellationToken) -> Self {
        Self {
            tcp,
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

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_cut(cx) {
            return Poll::Ready(Err(reset()));
        }
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.cut.is_cancelled() {
            return Poll::Ready(Err(reset()));
        }
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.cut.is_cancelled() {
            return Poll::Ready(Err(reset()));
        }
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
