//! Every way to tamper with an export, and what is said of it.

use std::time::Duration;

use audit_format::{
    ExpiredKind, ExpiredLine, KEPT_FOR, Line, MissingKind, MissingLine, OutsideKind, OutsideLine, Personal,
    Tile,
};
use tlog::{Hash, NoteSigner, TileId};

use super::fixture::*;
use crate::{Finding, Problem, Report, Scope, VerifyError};

fn first(report: &Report) -> &Finding {
    assert!(!report.intact, "{report}");
    report.findings.first().unwrap()
}

/// Changes an export of a log of 300 records, and says what is found first: what, and the record's number and id.
fn found(change: impl FnOnce(&mut Export)) -> (Problem, Option<u64>, Option<String>) {
    let mut export = Log::with(300).export();
    change(&mut export);
    let report = export.verify();
    let finding = first(&report);
    (finding.problem, finding.leaf_index, finding.id.clone())
}

fn about(problem: Problem, n: u64) -> (Problem, Option<u64>, Option<String>) {
    (problem, Some(n), Some(id(n)))
}

fn nobody(problem: Problem) -> (Problem, Option<u64>, Option<String>) {
    (problem, None, None)
}

#[test]
fn logs_of_any_size_are_intact() {
    for size in [1, 2, 3, 255, 256, 257, 300, 512, 600] {
        let report = Log::with(size).export().verify();
        assert!(report.intact, "{report}");
        assert_eq!((report.records, report.sealed, report.erased_values), (size, size, 0));
        assert_eq!((report.scope, report.found), (Scope::WholeLog, 0));
        assert!(report.to_string().starts_with("INTACT\n"));
    }
}

#[test]
fn a_changed_record() {
    assert_eq!(
        found(|export| replace(&mut export.records[17], "true", "null")),
        about(Problem::RecordChanged, 17)
    );
    assert_eq!(
        found(|export| {
            replace(&mut export.records[290], "lead.updated", "lead.created");
            replace(&mut export.records[200], "lead.updated", "lead.created");
        }),
        about(Problem::RecordChanged, 200)
    );
}

#[test]
fn a_record_changed_together_with_its_hash() {
    let forge = |export: &mut Export, n: usize| {
        replace(&mut export.records[n], "lead.updated", "lead.created");
        let forged = tlog::leaf_hash(export.records[n].entry.get().as_bytes());
        export.tiles[n / 256].hashes[n % 256] = forged;
    };
    // In a whole tile the tile is known, in the last one it may be any.
    assert_eq!(found(|export| forge(export, 17)), nobody(Problem::ProofsChanged));
    assert_eq!(found(|export| forge(export, 290)), nobody(Problem::ProofsChanged));
    let mut export = Log::with(300).export();
    forge(&mut export, 17);
    assert!(export.verify().to_string().contains("the records with the numbers 0 to 255"));
}

#[test]
fn a_missing_record() {
    for n in [0, 17, 299] {
        let missing = found(|export| {
            export.records.remove(n);
            export.recount();
        });
        assert_eq!(missing, (Problem::RecordMissing, Some(n as u64), None));
    }
    let truncated = found(|export| {
        export.records.truncate(290);
        export.recount();
    });
    assert_eq!(truncated, (Problem::RecordMissing, Some(290), None));
    let mut export = Log::with(300).export();
    export.records.truncate(290);
    export.recount();
    assert_eq!(export.verify().found, 10);
}

#[test]
fn a_record_that_the_export_says_is_missing() {
    let missing = found(|export| {
        export.records.remove(17);
        export.recount();
        let line = MissingLine { kind: MissingKind::Missing, leaf_index: 17, id: Some(id(17)) };
        export.others.push(Line::Missing(line));
    });
    assert_eq!(missing, about(Problem::RecordMissing, 17));
}

#[test]
fn reordered_records() {
    let swapped = found(|export| {
        export.records[17].leaf_index = Some(18);
        export.records[18].leaf_index = Some(17);
    });
    assert_eq!(swapped, (Problem::RecordReordered, Some(17), Some(id(18))));
    assert_eq!(found(|export| export.records.swap(17, 18)), about(Problem::RecordReordered, 17));
}

#[test]
fn an_inserted_record() {
    // Sealed records end at minute 299, and the export is of minute 305.
    let at_the_end = |export: &mut Export, n| {
        export.records.push(record(n));
        export.recount();
    };
    let unsealed = found(|export| at_the_end(export, 300));
    assert_eq!(
        unsealed,
        (Problem::RecordInserted, None, Some(id(300))),
        "exports leave out what is so young"
    );
    let into_the_past = found(|export| {
        // Whatever time the export claims to be of.
        export.header.created_at = minute(17);
        export.records.insert(18, record_with("aud_00000017a", 17));
        export.recount();
    });
    assert_eq!(into_the_past, (Problem::RecordInserted, None, Some("aud_00000017a".to_owned())));
    let beyond = found(|export| {
        at_the_end(export, 300);
        export.records[300].leaf_index = Some(300);
    });
    assert_eq!(beyond, about(Problem::RecordInserted, 300));
}

#[test]
fn a_record_that_was_sealed_into_the_past() {
    // Written into the table when the log had as many records, with the time of the sixth.
    let sealed_after = |size: u64| {
        let mut log = Log::of((0..size).filter(|n| *n != 5).chain([5]).map(record));
        log.records.sort_by_key(id_of);
        log.export().verify()
    };
    let report = sealed_after(25 * 60 + 5);
    assert!(report.intact, "a stream may be a day late: {report}");
    let report = sealed_after(25 * 60 + 10);
    let found = (first(&report).problem, first(&report).id.clone(), report.found);
    assert_eq!(found, (Problem::RecordInserted, Some(id(5)), 1), "{report}");
}

#[test]
fn an_unsealed_record() {
    // Taken out of the log: it lacks there, and what stands in its place is too old not to be sealed.
    let mut export = Log::with(300).export();
    export.records[17].leaf_index = None;
    let problems: Vec<_> = export.verify().findings.iter().map(|finding| finding.problem).collect();
    assert_eq!(problems, [Problem::RecordMissing, Problem::RecordInserted]);
}

#[test]
fn a_duplicated_record() {
    let twice = |index: Option<u64>| {
        found(|export| {
            let again = export.records[17].clone();
            export.records.insert(18, again);
            export.records[18].leaf_index = index;
            export.recount();
        })
    };
    assert_eq!(twice(Some(17)), about(Problem::RecordDuplicated, 17));
    assert_eq!(twice(None), (Problem::RecordInserted, None, Some(id(17))));
}

#[test]
fn a_changed_personal_value() {
    let change = |from: &'static str, to: &'static str| {
        found(|export| {
            let json = export.records[17].personal.to_json().unwrap();
            let changed = json.replacen(from, to, 1);
            assert_ne!(changed, json);
            export.records[17].personal = Personal::from_json(&changed).unwrap();
        })
    };
    let problem = about(Problem::PersonalValueChanged, 17);
    assert_eq!(change("ada@", "eve@"), problem);
    assert_eq!(change("AQEB", "AQEC"), problem);
    assert_eq!(change("/ip_address", "/action"), problem);
}

#[test]
fn erased_values_are_counted() {
    let mut export = Log::with(300).export();
    export.records[17].personal = Personal::default();
    export.records[18].personal.retain(|pointer, _| pointer == "/ip_address");
    let report = export.verify();
    assert!(report.intact, "{report}");
    assert_eq!(report.erased_values, 3);
    assert!(report.to_string().contains("Personal values that were erased: 3."));
}

#[test]
fn a_record_of_another_organization() {
    let foreign = Log::of((0..3).map(|n| if n == 1 { record_of("org_02", n) } else { record(n) }));
    let report = foreign.export().verify();
    assert_eq!(first(&report).problem, Problem::WrongOrganization);
    assert_eq!(first(&report).id, Some(id(1)));
    assert_eq!(
        found(|export| export.header.organization_id = "org_02".to_owned()),
        nobody(Problem::WrongOrganization)
    );
}

#[test]
fn changed_proofs() {
    for tile in 0..3 {
        assert_eq!(
            found(|export| export.tiles[tile].hashes[0] = Hash::of(b"forged")),
            nobody(Problem::ProofsChanged)
        );
        assert_eq!(
            found(|export| {
                let _ = export.tiles[tile].hashes.pop();
            }),
            nobody(Problem::ProofsChanged)
        );
        assert_eq!(
            found(|export| export.tiles.push(export.tiles[tile].clone())),
            nobody(Problem::ProofsChanged)
        );
    }
    // Only the tile that lacks says nothing of the root: its records cannot be proved.
    assert_eq!(found(|export| drop(export.tiles.remove(0))), about(Problem::ProofsChanged, 0));
    assert_eq!(found(|export| drop(export.tiles.remove(1))), nobody(Problem::ProofsChanged));
    assert_eq!(found(|export| drop(export.tiles.remove(2))), nobody(Problem::ProofsChanged));
    let more = Tile::new(TileId { level: 3, index: 0 }, vec![Hash::of(b"more")]);
    assert_eq!(found(|export| export.tiles.push(more)), nobody(Problem::ProofsChanged));
}

#[test]
fn a_bad_or_missing_signature() {
    let note = |change: fn(String) -> String| {
        found(|export| {
            let note = export.last().note.take().unwrap();
            export.last().note = Some(change(note));
        })
    };
    assert_eq!(note(|note| note.replacen("\n300\n", "\n299\n", 1)), nobody(Problem::NotSigned));
    assert_eq!(note(|note| note.split_once("\n\n").unwrap().0.to_owned()), nobody(Problem::NotSigned));
    assert_eq!(found(|export| export.last().note = None), nobody(Problem::NotSigned));

    let mut export = Log::with(3).export();
    let stranger = NoteSigner::from_seed(ORIGIN, &[8; 32]).unwrap();
    let checkpoint = tlog::Checkpoint::open(export.last().note.as_deref().unwrap(), &[key()]).unwrap();
    export.last().note = Some(checkpoint.sign(&[&stranger]).unwrap());
    assert_eq!(first(&export.verify()).problem, Problem::NotSigned);
    // While one key takes over from another, either is enough.
    export.last().note = Some(checkpoint.sign(&[&stranger, &signer()]).unwrap());
    assert!(export.verify().intact);

    let elsewhere = NoteSigner::from_seed("example.com/audit/org_99", &[7; 32]).unwrap();
    let mut trust = trust();
    trust.keys = vec![elsewhere.verifier().clone()];
    let report = export.verify_with(&trust).unwrap();
    assert!(
        first(&report).message.contains("is of example.com/audit/org_99; this log is localhost"),
        "{report}"
    );
}

#[test]
fn a_file_that_was_cut_off() {
    assert_eq!(found(|export| export.last = None), nobody(Problem::CutOff));
    let bytes = Log::with(20).export().bytes();
    for length in (0..bytes.len() - 1).step_by(97) {
        match crate::verify_export(std::io::Cursor::new(&bytes[..length]), &trust()) {
            Ok(report) => assert!(!report.intact, "{length}: {report}"),
            Err(error) => assert!(matches!(error, VerifyError::NotAnExport), "{length}: {error}"),
        }
    }
}

#[test]
fn a_wrong_count() {
    assert_eq!(found(|export| export.last().records += 1), nobody(Problem::CountDiffers));
}

#[test]
fn damaged_lines() {
    let text = String::from_utf8(Log::with(5).export().bytes()).unwrap();
    let verify = |text: &str| crate::verify_export(std::io::Cursor::new(text.as_bytes()), &trust()).unwrap();
    let damaged = text.replacen("\"leaf_index\":3", "\"leaf_index\":x", 1);
    let report = verify(&damaged);
    // Line 1 is the header. What was on it is not missing as well.
    assert_eq!(
        (first(&report).problem, first(&report).line, report.found),
        (Problem::Unreadable, Some(5), 1)
    );
    assert!(!verify(&text.replacen("{\"type\":\"tile\"", "\n{\"type\":\"tile\"", 1)).intact);
    let (head, last) = text.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(first(&verify(&format!("{head}\n{last}\n{last}\n"))).problem, Problem::Unreadable);
    let (first_line, rest) = text.split_once('\n').unwrap();
    assert_eq!(first(&verify(&format!("{first_line}\n{first_line}\n{rest}"))).problem, Problem::Unreadable);
}

#[test]
fn what_is_no_export() {
    for text in ["", "\n", "{}", "id,name\n1,2\n", "{\"type\":\"record\",\"leaf_index\":null,\"entry\":{}}\n"]
    {
        let refused = crate::verify_export(std::io::Cursor::new(text), &trust());
        assert!(matches!(refused, Err(VerifyError::NotAnExport)), "{text}");
    }
    let mut export = Log::with(1).export();
    export.header.format = 2;
    assert!(matches!(export.verify_with(&trust()), Err(VerifyError::Format(2))));
}

#[test]
fn a_time_range() {
    let log = Log::with(600);
    let export = log.export_of(Some(300), Some(310));
    let report = export.verify();
    assert!(report.intact, "{report}");
    assert_eq!((report.records, report.outside, export.tiles.len()), (11, 7, 3));
    assert_eq!(report.ends_at, Some(minute(599)));

    let mut narrowed = log.export_of(Some(300), Some(310));
    narrowed.header.to = Some(minute(309));
    assert_eq!(first(&narrowed.verify()).id, Some(id(310)));

    let mut export = log.export_of(Some(300), Some(310));
    export.records.remove(5);
    export.recount();
    let report = export.verify();
    assert_eq!((first(&report).problem, first(&report).leaf_index), (Problem::RecordMissing, Some(305)));
    export.header.filtered = true;
    assert!(export.verify().intact);
    assert_eq!(export.verify().scope, Scope::Selection);
}

#[test]
fn a_record_of_the_range_that_is_said_to_lie_outside() {
    let log = Log::with(600);
    let mut export = log.export_of(Some(300), Some(310));
    export.others.push(log.outside(305));
    assert_eq!(first(&export.verify()).problem, Problem::RecordDuplicated);
    export.records.remove(5);
    export.recount();
    let report = export.verify();
    assert_eq!((first(&report).problem, first(&report).id.clone()), (Problem::RecordMissing, Some(id(305))));

    // With another time in it, it is not what was sealed.
    let mut forged = log.records[305].clone();
    replace(&mut forged, &minute(305).to_string(), &minute(299).to_string());
    let line = OutsideLine { kind: OutsideKind::Outside, leaf_index: 305, entry: forged.entry };
    *export.others.last_mut().unwrap() = Line::Outside(line);
    assert_eq!(first(&export.verify()).problem, Problem::RecordChanged);

    let mut whole = Log::with(3).export();
    whole.records.remove(1);
    whole.recount();
    whole.others.push(Log::with(3).outside(1));
    assert_eq!(first(&whole.verify()).problem, Problem::RecordMissing);
}

#[test]
fn a_record_sealed_late_lies_among_those_of_the_range() {
    let late = |n| if n == 305 { record(299) } else { record(n) };
    let log = Log::of((0..600).map(late));
    let mut export = log.export_of(Some(300), Some(310));
    export.records.remove(5);
    export.recount();
    assert_eq!(first(&export.verify()).problem, Problem::RecordMissing);
    export.others.push(log.outside(305));
    let report = export.verify();
    assert!(report.intact, "{report}");
}

#[test]
fn a_range_shows_that_nothing_was_left_out_at_its_ends() {
    let log = Log::with(600);
    let not_proved = |export: &Export, leaf: u64| {
        let report = export.verify();
        let found = (first(&report).problem, first(&report).leaf_index);
        assert_eq!(found, (Problem::RangeNotProved, Some(leaf)), "{report}");
    };
    // Records left out together with what is beyond them.
    let cut = |leaves: std::ops::Range<u64>| {
        let mut export = log.export_of(Some(300), Some(310));
        export.records.retain(|record| !leaves.contains(&record.leaf_index.unwrap()));
        export.recount();
        leaves.for_each(|leaf| export.without(leaf));
        export
    };
    not_proved(&cut(297..302), 301);
    not_proved(&cut(309..314), 309);
    not_proved(&cut(297..298), 297);
    not_proved(&cut(313..314), 313);
    not_proved(&cut(297..314), 598);
    // Nor does it show when it was made.
    not_proved(&cut(599..600), 599);

    for (from, to) in
        [(None, Some(10)), (Some(590), None), (Some(2), Some(598)), (Some(599), None), (Some(900), None)]
    {
        let mut export = log.export_of(from, to);
        if from == Some(900) {
            export = log.export_of(Some(599), None);
            export.header.from = Some(minute(900));
            export.header.created_at = minute(901);
            export.others.push(log.outside(599));
            export.records.clear();
            export.recount();
        }
        let report = export.verify();
        assert!(report.intact, "{from:?} {to:?} {report}");
    }
}

#[test]
fn a_log_that_falls_silent_was_cut_off() {
    let mut export = Log::with(300).export();
    export.header.created_at = minute(299) + Duration::from_hours(25);
    let report = export.verify();
    assert!(report.intact, "{report}");
    assert_eq!(report.ends_at, Some(minute(299)));
    export.header.created_at = export.header.created_at + Duration::from_millis(1);
    let report = export.verify();
    assert_eq!((first(&report).problem, first(&report).leaf_index), (Problem::CutOff, Some(299)));
}

#[test]
fn records_that_expired() {
    let silent = Duration::from_hours(25) + Duration::from_mins(2);
    // The first twenty are gone. The next one is about to go, and the last one is of today.
    let expire = |gone: std::ops::Range<u64>, age: Duration| {
        let mut export = Log::with(300).export();
        export.header.created_at = minute(20) + KEPT_FOR - silent + age;
        export.records.retain(|record| !gone.contains(&record.leaf_index.unwrap()));
        export.recount();
        let line = |leaf_index| ExpiredLine { kind: ExpiredKind::Expired, leaf_index, id: id(leaf_index) };
        export.others.extend(gone.map(|leaf| Line::Expired(line(leaf))));
        export.verify()
    };
    let problems = |report: &Report| -> Vec<_> {
        let found = report.findings.iter().filter(|finding| finding.problem != Problem::CutOff);
        found.map(|finding| (finding.problem, finding.leaf_index)).collect()
    };
    let report = expire(0..20, Duration::ZERO);
    assert_eq!((problems(&report), report.expired), (vec![], 20), "{report}");
    assert_eq!(problems(&expire(19..20, Duration::ZERO)), []);
    // Nothing that follows it in the log is old enough.
    assert_eq!(problems(&expire(20..21, Duration::ZERO)), [(Problem::RecordMissing, Some(20))]);
    // Nothing follows it.
    assert_eq!(problems(&expire(299..300, Duration::from_mins(400))), [(Problem::RecordMissing, Some(299))]);
}

#[test]
fn nothing_sealed_yet() {
    let mut export = Log::with(0).export();
    export.last().note = None;
    let nothing = |export: &Export| matches!(export.verify_with(&trust()), Err(VerifyError::NothingSealed));
    assert!(nothing(&export));
    // What anybody may have made up is no more intact for having records.
    export.records.push(record(0));
    export.recount();
    assert!(nothing(&export));
    export.records[0].leaf_index = Some(0);
    assert!(nothing(&export));
}

#[test]
fn a_checkpoint_from_another_time() {
    let log = Log::with(300);
    let kept = |log: &Log| Some(log.checkpoint());
    let verify = |export: &Export, kept| export.verify_with(&crate::Trust { kept, ..trust() });

    for size in [0, 1, 100, 256, 299, 300] {
        assert!(verify(&log.export(), kept(&Log::with(size))).unwrap().intact, "{size}");
        let copied = Log::with(size).checkpoint().trim_end().to_owned();
        assert!(verify(&log.export(), Some(copied)).unwrap().intact, "{size}");
    }
    // The operator shows an older log, which is as well signed.
    let report = verify(&log.export(), kept(&Log::with(310))).unwrap();
    assert_eq!((first(&report).problem, first(&report).leaf_index), (Problem::CutOff, Some(300)));
    assert!(report.to_string().contains("10 at the end are gone"), "{report}");

    // The operator seals another history.
    let rewritten = Log::of((0..300).map(|n| record(if n < 50 { n } else { n + 1 })));
    assert!(verify(&rewritten.export(), kept(&Log::with(50))).unwrap().intact);
    let report = verify(&rewritten.export(), kept(&Log::with(51))).unwrap();
    assert_eq!(first(&report).problem, Problem::HistoryChanged);

    let mut nothing = Log::with(0).export();
    nothing.last().note = None;
    assert_eq!(first(&verify(&nothing, kept(&log)).unwrap()).problem, Problem::CutOff);

    let part = Log::with(600).export_of(Some(300), Some(310));
    assert!(matches!(verify(&part, kept(&Log::with(100))), Err(VerifyError::KeptBeyondReach(_))));
    assert!(verify(&part, kept(&Log::with(400))).unwrap().intact);
    assert!(matches!(verify(&part, Some("text".to_owned())), Err(VerifyError::Kept(_))));
}

#[test]
fn the_report_as_json() {
    let mut export = Log::with(3).export();
    replace(&mut export.records[1], "true", "null");
    let json = serde_json::to_value(export.verify()).unwrap();
    assert_eq!(json["intact"], false);
    assert_eq!(json["scope"]["kind"], "whole_log");
    assert_eq!(json["findings"][0]["problem"], "record_changed");
    assert_eq!(json["findings"][0]["id"], id(1));
}
