//! Providers of mailboxes that anybody can have.
//!
//! Not a complete list, and it can't be one. It names those with many users, so that nobody comes to speak for them;
//! whoever claims a domain still has to prove that its DNS is theirs.

/// Names that belong to their provider under every public suffix: `outlook.com`, `outlook.de`, `yahoo.co.jp`.
const BRANDS: &str = "
    aol fastmail gmail gmx googlemail hotmail icloud mailinator outlook protonmail rediffmail rocketmail tutanota
    windowslive yahoo yandex ymail zohomail
";

/// Registrable domains, by letter.
const DOMAINS: &str = "
    10minutemail.com 126.com 139.com 163.com 188.com 189.cn 21cn.com
    aim.com alice.it aliyun.com arcor.de att.net
    bellsouth.net bigpond.com bigpond.net.au bk.ru blueyonder.co.uk bluewin.ch bol.com.br btinternet.com
    btopenworld.com
    centrum.cz charter.net comcast.net cox.net
    daum.net docomo.ne.jp duck.com
    earthlink.net eclipso.de email.com email.cz email.de ezweb.ne.jp
    foxmail.com free.fr freemail.hu freenet.de frontier.com
    globomail.com grr.la guerrillamail.com
    hanmail.net hey.com home.nl hushmail.com
    ig.com.br iinet.net.au inbox.com inbox.lv inbox.ru interia.pl internet.ru
    juno.com
    kakao.com kpnmail.nl
    laposte.net libero.it list.ru live.at live.be live.ca live.cl live.cn live.co.uk live.co.za live.com live.com.ar
    live.com.au live.com.mx live.com.pt live.de live.dk live.fr live.ie live.in live.it live.jp live.nl live.no
    live.ru live.se lycos.com
    mac.com mail.bg mail.com mail.de mail.ee mail.ru mail.ua mailbox.org mailfence.com me.com meta.ua msn.com
    mynet.com
    nate.com naver.com netscape.net netzero.net neuf.fr nifty.com ntlworld.com
    o2.pl o2online.de onet.pl online.de op.pl optonline.net optusnet.com.au orange.fr
    pm.me post.cz posteo.de posteo.net proton.me
    qq.com
    r7.com rambler.ru rogers.com runbox.com
    sapo.pt sbcglobal.net seznam.cz sfr.fr sharklasers.com shaw.ca sina.cn sina.com sky.com skynet.be softbank.ne.jp
    sohu.com startmail.com sympatico.ca
    t-online.de talktalk.net telenet.be telus.net temp-mail.org terra.com.br tiscali.co.uk tiscali.it tom.com
    trashmail.com tuta.com tuta.io tutamail.com
    ukr.net uol.com.br
    verizon.net virgilio.it virginmedia.com voila.fr volny.cz
    walla.co.il wanadoo.fr web.de windstream.net wp.pl
    xs4all.nl xtra.co.nz
    ya.ru yeah.net yopmail.com
    zoho.com zoznam.sk
";

/// Whether a registrable domain belongs to such a provider.
pub(crate) fn is_consumer(registrable: &str) -> bool {
    let (brand, _) = registrable.split_once('.').unwrap_or((registrable, ""));
    lists(BRANDS, brand) || lists(DOMAINS, registrable)
}

fn lists(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace().any(|listed| listed == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Domain;

    /// What is listed below a registrable domain would never be found.
    #[test]
    fn every_listed_domain_is_a_registrable_one_in_its_stored_spelling() {
        for listed in DOMAINS.split_ascii_whitespace() {
            let domain = Domain::parse(listed).unwrap();
            assert_eq!((domain.as_str(), domain.registrable()), (listed, listed));
        }
    }
}
