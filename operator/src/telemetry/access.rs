//! Who may read the metrics: the API server decides, by a review of the token and of the right of its account.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::{sync::Semaphore, time::Instant};

/// What is known about the reader of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The account may read them.
    Allowed,
    /// The token is nobody's.
    Unknown,
    /// The account may not read them.
    Forbidden,
}

/// Asks the API server; `None` when it does not answer.
pub type Review = Pin<Box<dyn Future<Output = Option<Verdict>> + Send>>;

/// A verdict is used for this long: an account that loses the right, or a token that ends, is noticed then.
const FRESH: Duration = Duration::from_secs(10);
/// Verdicts that are kept, at most: anybody may send any number of tokens.
const MOST: usize = 64;
/// Questions to the API server at a time.
const AT_ONCE: usize = 4;
/// Longest time until there is a verdict.
const DEADLINE: Duration = Duration::from_secs(5);

/// Decides, and remembers verdicts for some seconds.
pub struct Access {
    review: Box<dyn Fn(String) -> Review + Send + Sync>,
    /// By the token's digest: no token stays in memory.
    verdicts: Mutex<HashMap<[u8; 32], (Verdict, Instant)>>,
    asking: Semaphore,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").finish_non_exhaustive()
    }
}

impl Access {
    /// Decides by these reviews.
    pub fn new(review: impl Fn(String) -> Review + Send + Sync + 'static) -> Self {
        Self {
            review: Box::new(review),
            verdicts: Mutex::default(),
            asking: Semaphore::new(AT_ONCE),
        }
    }

    /// The verdict about a bearer token; `None` when the API server gives none in time.
    pub async fn check(&self, token: &str) -> Option<Verdict> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(verdict) = self.known(&digest) {
            return Some(verdict);
        }
        let deadline = Instant::now() + DEADLINE;
        let asked = async {
            let _one = self.asking.acquire().await.ok()?;
            // Nobody waits for an answer any more when its turn comes with the end of the others' time.
            if Instant::now() >= deadline {
                return None;
            }
            // The same token may have been asked about meanwhile.
            match self.known(&digest) {
                Some(verdict) => Some(verdict),
                None => (self.review)(token.to_owned()).await,
            }
        };
        let verdict = tokio::time::timeout_at(deadline, asked).await.ok()??;
        self.remember(digest, verdict);
        Some(verdict)
    }

    fn verdicts(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Verdict, Instant)>> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, digest: &[u8; 32]) -> Option<Verdict> {
        let (verdict, since) = *self.verdicts().get(digest)?;
        (since.elapsed() < FRESH).then_some(verdict)
    }

    fn remember(&self, digest: [u8; 32], verdict: Verdict) {
        let mut verdicts = self.verdicts();
        verdicts.retain(|_, (_, since)| since.elapsed() < FRESH);
        // When many tokens come, those that are nobody's give way.
        if verdicts.len() >= MOST {
            verdicts.retain(|_, (verdict, _)| *verdict == Verdict::Allowed);
        }
        if verdicts.len() < MOST {
            verdicts.entry(digest).or_insert((verdict, Instant::now()));
        }
    }
}

/// The token in a header `Authorization: Bearer TOKEN`.
pub fn bearer(headers: &http::HeaderMap) -> Option<&str> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// Counts the reviews; a token is its own verdict.
    fn access() -> (Access, Arc<AtomicUsize>) {
        let count = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&count);
        let access = Access::new(move |token| {
            counted.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                match &*token {
                    "allowed" => Some(Verdict::Allowed),
                    "forbidden" => Some(Verdict::Forbidden),
                    "no answer" => None,
                    "hangs" => std::future::pending().await,
                    _ => Some(Verdict::Unknown),
                }
            })
        });
        (access, count)
    }

    #[tokio::test(start_paused = true)]
    async fn a_verdict_is_asked_for_once_in_some_seconds() {
        let (access, count) = access();
        for (token, verdict) in [
            ("allowed", Verdict::Allowed),
            ("forbidden", Verdict::Forbidden),
            ("other", Verdict::Unknown),
        ] {
            let before = count.load(Ordering::Relaxed);
            for _ in 0..3 {
                assert_eq!(access.check(token).await, Some(verdict));
            }
            assert_eq!(count.load(Ordering::Relaxed), before + 1, "{token}");
        }
        tokio::time::advance(FRESH).await;
        access.check("allowed").await;
        assert_eq!(count.load(Ordering::Relaxed), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_is_no_verdict_and_is_not_remembered() {
        let (access, count) = access();
        for _ in 0..2 {
            assert_eq!(access.check("no answer").await, None);
        }
        assert_eq!(access.check("hangs").await, None);
        assert_eq!(count.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn many_tokens_take_no_memory_and_replace_no_allowed_one() {
        let (access, count) = access();
        access.check("allowed").await;
        for number in 0..10 * MOST {
            access.check(&format!("made up {number}")).await;
        }
        assert!(access.verdicts().len() <= MOST);
        let before = count.load(Ordering::Relaxed);
        assert_eq!(access.check("allowed").await, Some(Verdict::Allowed));
        assert_eq!(count.load(Ordering::Relaxed), before);
    }

    #[tokio::test(start_paused = true)]
    async fn reviews_that_hang_are_few_and_end() {
        let (access, count) = access();
        let tokens = futures::future::join_all((0..40).map(|_| access.check("hangs")));
        assert!(tokens.await.iter().all(Option::is_none));
        assert_eq!(count.load(Ordering::Relaxed), AT_ONCE);
    }

    #[test]
    fn a_token_is_what_follows_bearer() {
        let read = |value: &'static str| {
            let mut headers = http::HeaderMap::new();
            headers.insert(
                http::header::AUTHORIZATION,
                http::HeaderValue::from_static(value),
            );
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(read("Bearer a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(read("bearer  x").as_deref(), Some("x"));
        for value in ["Basic x", "Bearer", "Bearer ", ""] {
            assert_eq!(read(value), None, "{value}");
        }
    }
}
