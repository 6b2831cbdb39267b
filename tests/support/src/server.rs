//! What the scripted HTTP servers of the tests share.

use std::io::{self, BufRead};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

pub struct Received {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Serves until the test program ends, with a thread for each connection; the address.
pub fn serve(connection: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connection = Arc::new(connection);
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let connection = connection.clone();
            // Clients keep connections open and drop them at any moment: an error here is no failure.
            std::thread::spawn(move || drop(connection(socket)));
        }
    });
    address
}

/// The next request of a connection; none when the client has hung up.
pub fn receive(reader: &mut impl BufRead) -> io::Result<Option<Received>> {
    let (mut first, mut headers, mut line) = (String::new(), Vec::new(), String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let text = line.trim_end();
        if first.is_empty() {
            text.clone_into(&mut first);
        } else if text.is_empty() {
            break;
        }
        if let Some((name, value)) = text.split_once(':') {
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut received = Received { method, target, headers, body: Vec::new() };
    let length = received.header("content-length").unwrap_or("0").parse().map_err(io::Error::other)?;
    received.body = vec![0; length];
    reader.read_exact(&mut received.body)?;
    Ok(Some(received))
}
