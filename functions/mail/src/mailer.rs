//! The one seam to SES.

use aws_sdk_sesv2::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use mailing::{BaseUrl, Letter, Mail};
use runtime::{Services, StartError};
use store::BoxError;

/// Why a mail was not sent, as far as we know.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// SES throttled, timed out or was not reached: trying again may help. The mail may have been taken all the same.
    #[error("SES did not serve the mail")]
    Passing {
        /// What the SDK reports.
        #[source]
        source: BoxError,
    },
    /// SES won't send it: an address it does not take, an identity that is not verified, an account that is suspended.
    #[error("SES refused the mail")]
    Refused {
        /// What SES said.
        #[source]
        source: BoxError,
    },
}

/// Sends letters through SES.
#[derive(Debug, Clone)]
pub struct Mailer {
    client: aws_sdk_sesv2::Client,
    from: String,
    base: BaseUrl,
}

impl Mailer {
    /// The mailer that sends from `MAIL_FROM`, with links that begin with `PUBLIC_URL`.
    ///
    /// # Errors
    /// [`StartError`] when one of them is not set, or `PUBLIC_URL` is no address of a site.
    pub fn from_services(services: &Services) -> Result<Self, StartError> {
        let environment = &services.environment;
        let base = environment.required("PUBLIC_URL")?;
        Ok(Self {
            client: aws_sdk_sesv2::Client::new(&services.aws.config),
            from: environment.required("MAIL_FROM")?,
            base: base.parse().map_err(|_| StartError::Unreadable { name: "PUBLIC_URL" })?,
        })
    }

    /// Composes and sends a letter.
    ///
    /// # Errors
    /// [`MailerError`].
    pub async fn send(&self, letter: &Letter) -> Result<(), MailerError> {
        let Mail { to, subject, text } = letter.compose(&self.base);
        let refused = |e| MailerError::Refused { source: Box::new(e) };
        let text = Content::builder().data(text).charset("UTF-8").build().map_err(refused)?;
        let subject = Content::builder().data(subject).charset("UTF-8").build().map_err(refused)?;
        let message = Message::builder().subject(subject).body(Body::builder().text(text).build()).build();
        self.client
            .send_email()
            .from_email_address(&self.from)
            .destination(Destination::builder().to_addresses(to).build())
            .content(EmailContent::builder().simple(message).build())
            .send()
            .await
            .map_err(sorted)?;
        Ok(())
    }
}

/// Sorts an SDK error into what time may heal and what it won't.
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors>
fn sorted(error: SdkError<SendEmailError>) -> MailerError {
    let passing = match &error {
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => true,
        SdkError::ServiceError(context) => {
            let status = context.raw().status();
            status.is_server_error()
                || status.as_u16() == 429
                || context.err().code().is_some_and(|code| {
                    matches!(
                        code,
                        "TooManyRequestsException"
                            | "LimitExceededException"
                            | "Throttling"
                            | "ThrottlingException"
                            | "RequestTimeout"
                    )
                })
        }
        _ => false,
    };
    // What SES says names the recipient now and then: its code is enough to act on.
    let source: BoxError = match (error.code(), &error) {
        (Some(code), _) => code.to_owned().into(),
        (None, SdkError::TimeoutError(_)) => "it timed out".into(),
        (None, SdkError::DispatchFailure(_)) => "it could not be reached".into(),
        (None, _) => "it gave no reason".into(),
    };
    if passing { MailerError::Passing { source } } else { MailerError::Refused { source } }
}
