//! Bodies, read up to a limit.

use std::error::Error;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use thiserror::Error;
use tokio::time::timeout;

/// What is reserved before anything has arrived, whatever the client announced, in bytes.
const FIRST_RESERVE_BYTES: u64 = 256 * 1024;
/// How much of a body that is too large is read and forgotten, in bytes.
const DRAIN_BYTES: usize = 64 * 1024 * 1024;
/// The same of a request that was refused by its headers.
const REFUSED_BYTES: usize = 1024 * 1024;
/// For how long.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// Why a body was not read.
#[derive(Debug, Error)]
pub enum BodyError {
    /// It is longer than the limit, or says that it is.
    #[error("body is over the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// It took longer than it may.
    #[error("body took longer than {0:?} to arrive")]
    TooSlow(Duration),
    /// The connection ended before the body did.
    #[error("body was cut off")]
    CutOff(#[source] Box<dyn Error + Send + Sync>),
}

/// Reads a request's body. `announced` is its `Content-Length`, if it has one; memory is taken as
/// bytes arrive, not as they are announced.
///
/// # Errors
/// If the body is over `limit` bytes, takes longer than `within`, or is cut off.
pub async fn read_bounded(
    body: Body,
    announced: Option<u64>,
    limit: u64,
    within: Duration,
) -> Result<Bytes, BodyError> {
    let mut chunks = body.into_data_stream();
    let read = if announced.is_some_and(|announced| announced > limit) {
        Err(BodyError::TooLarge { limit })
    } else {
        let read = timeout(within, collect(&mut chunks, announced, limit)).await;
        read.unwrap_or(Err(BodyError::TooSlow(within)))
    };
    if let Err(BodyError::TooLarge { .. }) = read {
        drain(chunks, DRAIN_BYTES).await;
    }
    read
}

async fn collect(
    chunks: &mut BodyDataStream,
    announced: Option<u64>,
    limit: u64,
) -> Result<Bytes, BodyError> {
    let reserve = announced.unwrap_or_default().min(FIRST_RESERVE_BYTES);
    let mut read = BytesMut::with_capacity(usize::try_from(reserve).unwrap_or_default());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| BodyError::CutOff(error.into()))?;
        if (read.len() + chunk.len()) as u64 > limit {
            return Err(BodyError::TooLarge { limit });
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read.freeze())
}

/// Reads on for a little and forgets it: a client that is still writing when the connection closes
/// never sees the answer that says why.
///
/// Not longer than [`DRAIN_TIME`], whatever the client does: the answer is there.
async fn drain(mut chunks: BodyDataStream, limit: usize) {
    let reading = async {
        let mut left = limit;
        while left > 0
            && let Some(Ok(chunk)) = chunks.next().await
        {
            left = left.saturating_sub(chunk.len());
        }
    };
    drop(timeout(DRAIN_TIME, reading).await);
}

/// Does that for a request that is refused before anybody looked into it.
pub(super) async fn drain_refused(body: Body) {
    drain(body.into_data_stream(), REFUSED_BYTES).await;
}

/// The beginning of a response's body as text: at most `limit` bytes, what is not UTF-8 replaced.
/// An error while reading ends it.
pub async fn read_response(mut response: reqwest::Response, limit: usize) -> String {
    let mut read = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = limit - read.len();
        read.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if read.len() == limit {
            break;
        }
    }
    String::from_utf8_lossy(&read).trim().to_owned()
}

/// A response's body. Memory is taken as bytes arrive, not as they are announced.
///
/// # Errors
/// If it is over `limit` bytes or cut off.
pub async fn read_response_bounded(
    mut response: reqwest::Response,
    limit: u64,
) -> Result<Bytes, BodyError> {
    if response
        .content_length()
        .is_some_and(|announced| announced > limit)
    {
        return Err(BodyError::TooLarge { limit });
    }
    let mut read = BytesMut::new();
    loop {
        let chunk = response.chunk().await;
        let Some(chunk) = chunk.map_err(|error| BodyError::CutOff(error.without_url().into()))?
        else {
            return Ok(read.freeze());
        };
        if (read.len() + chunk.len()) as u64 > limit {
            return Err(BodyError::TooLarge { limit });
        }
        read.extend_from_slice(&chunk);
    }
}
