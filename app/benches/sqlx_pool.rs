//! What `make bench-app` compares the app with: the same greeting, read through sqlx's pool with its
//! defaults, by a server that does nothing else.

use std::net::SocketAddr;

use chrono::{NaiveDate, Utc};
use hello_app::domain::{
    DateOfBirth, LeapDay, Username, UsernameRule, days_until_birthday, greeting_json,
};
use http::StatusCode;
use sqlx::PgPool;
use warp::Filter;
use warp::reply::{Reply, Response};

/// Takes the URL of the database and its own address from the command line.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, address] = arguments.as_slice() else {
        return Err("needs the URL of the database and an address to listen on".into());
    };
    let address: SocketAddr = address.parse()?;
    let pool = PgPool::connect(url).await?;
    let greet = warp::path!("hello" / String)
        .and(warp::get())
        .then(move |name: String| {
            let pool = pool.clone();
            async move {
                greeting(&pool, &name)
                    .await
                    .unwrap_or_else(|status| status.into_response())
            }
        });
    warp::serve(greet).run(address).await;
    Ok(())
}

async fn greeting(pool: &PgPool, name: &str) -> Result<Response, StatusCode> {
    let name = Username::from_path_segment(name, UsernameRule::Unicode)
        .map_err(|_| StatusCode::BAD_REQUEST)?;
    let born: Option<NaiveDate> =
        sqlx::query_scalar("SELECT date_of_birth FROM users WHERE username = $1")
            .bind(name.as_str())
            .fetch_optional(pool)
            .await
            .map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let born = DateOfBirth::from_stored(born.ok_or(StatusCode::NOT_FOUND)?);
    let days = days_until_birthday(born, Utc::now().date_naive(), LeapDay::Feb28);
    let body = greeting_json(&name, days);
    Ok(warp::reply::with_header(body, "content-type", "application/json").into_response())
}
