//! Signs a body as Artisan signs one, so that receivers can be tried out without a platform, during a rotation too.
//!
//! ```sh
//! cargo run -p signing --example sign -- evt_1 "$(date +%s)" whsec_newest… whsec_previous… seed:$(openssl rand -base64 32) <body
//! ```
//!
//! Prints the headers, one a line, and the public key of each seed as `public-key`.

use std::error::Error;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use signing::{Signer, SigningKey, SigningSecret, header};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let id = arguments.next().ok_or("which id?")?;
    let timestamp = arguments.next().ok_or("which time, in Unix seconds?")?.parse()?;
    let mut signer = Signer::new(&SigningSecret::parse(&arguments.next().ok_or("which secret?")?)?);
    for argument in arguments {
        signer = match argument.strip_prefix("seed:") {
            Some(seed) => {
                let key = SigningKey::from_seed(STANDARD.decode(seed)?.as_slice().try_into()?)?;
                println!("public-key: {}", key.verifying_key());
                signer.key(key)
            }
            None => signer.previous(&SigningSecret::parse(&argument)?),
        };
    }

    let mut body = Vec::new();
    std::io::stdin().read_to_end(&mut body)?;
    let signatures = signer.sign(&id, timestamp, &body);
    println!("{}: {id}", header::ID);
    println!("{}: {timestamp}", header::TIMESTAMP);
    println!("{}: {}", header::SIGNATURE, signatures.standard);
    println!("{}: {}", header::ARTISAN_SIGNATURE, signatures.artisan);
    Ok(())
}
