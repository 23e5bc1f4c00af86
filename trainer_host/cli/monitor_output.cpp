#include "trainer_host/cli/monitor_output.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "platform/console/table.hpp"
#include "protocol/base/csv.hpp"
#include "protocol/base/number.hpp"
#include "protocol/base/without_controls.hpp"
#include "trainer_host/cli/human.hpp"
#include "trainer_host/fleet/monitor/audit.hpp"

namespace outcrop::cli {
namespace {

using Json = nlohmann::json;

std::string number_at(const Json& object, const char* key) {
  return object.at(key).is_number() ? short_number(object.at(key).get<double>()) : "–";
}

// "throttled 3, under-voltage 1": samples in which it was held back.
std::string held_back(const Json& point) {
  std::string words;
  for (const auto& [cause, count] : point.at("throttled").items()) {
    if (count.get<std::uint64_t>() == 0) continue;
    words += (words.empty() ? "" : ", ") + cause + " " + std::to_string(count.get<std::uint64_t>());
  }
  return words;
}

std::string served_table(const HistoryAnswers& answers, Timestamp now, std::size_t width) {
  std::map<std::string, Json> heat;  // by when
  for (const Json& point : answers.temperature.at("points")) heat[point.at("at").get<std::string>()] = point;
  Table table({"from", "age", "samples", "calls", "errors", "p50 ms", "p90 ms", "max ms", "°C", "held back"});
  table.less_needed({"max ms", "samples", "held back"});
  for (const Json& point : answers.served.at("points")) {
    const auto at = point.at("at").get<std::string>();
    const auto warm = heat.find(at);
    const auto errors = point.at("errors").get<std::uint64_t>();
    table.add_row({at, age(at, now), std::to_string(point.at("samples").get<std::uint64_t>()),
                   std::to_string(point.at("count").get<std::uint64_t>() + errors), std::to_string(errors),
                   number_at(point, "p50"), number_at(point, "p90"), number_at(point, "max"),
                   warm == heat.end() ? "–" : number_at(warm->second, "max"), held_back(point)});
  }
  return table.empty() ? "" : table.to_string(width);
}

std::string measured_table(const Json& measured, Timestamp now, std::size_t width) {
  Table table({"measured", "age", "p90 ms", "void"});
  for (const Json& point : measured.at("points")) {
    const auto at = point.at("at").get<std::string>();
    const auto errors = point.at("errors").get<std::uint64_t>();
    table.add_row({at, age(at, now), number_at(point, "p90"), errors == 0 ? "" : "void"});
  }
  return table.empty() ? "" : table.to_string(width);
}

std::string outlier_lines(const std::string& board, const Json& outliers, Timestamp now) {
  std::string text;
  for (const Json& one : outliers.at("outliers")) {
    if (one.at("device").get<std::string>() != board) continue;
    text += "! " + age(one.at("at").get<std::string>(), now) + ": " + one.at("variant").get<std::string>() + " p90 " +
            number_at(one, "p90_ms") + " ms, where " + number_at(one, "usual_ms") + " is usual by " +
            one.at("against").get<std::string>() + "\n";
  }
  return text;
}

Result<fleet::monitor::AuditEntry> entry_of(const Json& json) {
  fleet::monitor::AuditEntry entry;
  entry.number = json.at("number").get<std::uint64_t>();
  OUTCROP_TRY(time, from_rfc3339(json.at("time").get<std::string>()));
  entry.time = time;
  entry.who = json.at("who").get<std::string>();
  entry.action = json.at("action").get<std::string>();
  entry.subject = json.at("subject").get<std::string>();
  entry.detail = json.at("detail_text").get<std::string>();
  OUTCROP_TRY(before, trust::Sha256Digest::from_hex(json.at("before").get<std::string>()));
  OUTCROP_TRY(hash, trust::Sha256Digest::from_hex(json.at("hash").get<std::string>()));
  entry.before = before;
  entry.hash = hash;
  return entry;
}

struct Head {
  std::uint64_t number = 0;
  std::string hash;
};
Result<Head> head_from(const std::string& noted) {
  const std::size_t colon = noted.find(':');
  const auto number = read_number<std::uint64_t>(std::string_view(noted).substr(0, colon));
  if (colon == std::string::npos || !number || !trust::Sha256Digest::from_hex(noted.substr(colon + 1))) {
    return fail(ErrorCode::invalid_argument,
                "'" + noted + "' is no head of an audit log: write it as --verify printed it, NUMBER:HASH");
  }
  return Head{*number, noted.substr(colon + 1)};
}

std::string asked_words(const Json& answer, const std::string& what) {
  std::string text;
  for (const Json& name : answer.at("asked")) text += name.get<std::string>() + " is asked " + what + "\n";
  for (const auto& [name, why] : answer.at("left_out").items()) {
    text += name + " is not asked: " + why.get<std::string>() + "\n";
  }
  return text;
}

}  // namespace

std::string history_tables(const std::string& board, const HistoryAnswers& answers, Timestamp now,
                           std::size_t width) {
  const std::string served = served_table(answers, now, width);
  const std::string measured = measured_table(answers.measured, now, width);
  if (served.empty() && measured.empty()) {
    return "nothing is kept of " + board +
           " in that time: it said nothing (outcrop fleet devices), its agent is from before telemetry, or "
           "[monitor] interval_seconds of host.toml is 0\n";
  }
  std::string text = served;
  if (!measured.empty()) text += (text.empty() ? "" : "\n") + measured;
  if (const std::string far = outlier_lines(board, answers.outliers, now); !far.empty()) text += "\n" + far;
  if (answers.served.at("cut").get<bool>()) text += "(more than one answer holds: ask for a shorter time)\n";
  return text;
}

std::string measure_words(const Json& answer) {
  std::string text = asked_words(answer, "to measure again");
  if (!answer.at("asked").empty()) {
    text += "each measures when nobody uses it, within a day; then: outcrop fleet history NAME\n";
  }
  return text;
}

std::string picture_words(const Json& answer) {
  std::string text = asked_words(answer, "for a picture");
  if (!answer.at("asked").empty()) {
    text += "each draws when nobody uses it, within a day; then: its page, or outcrop fleet picture NAME --kept\n";
  }
  return text;
}

std::string picture_text(const Json& answer, const std::string& of, const std::string& file) {
  const Json& picture = answer.at("picture");
  const bool beside = !answer.at("comparison").is_null();
  std::string text = file + ": " + picture.at("output").get<std::string>();
  if (of == "host") {
    text += ", the host's own";
  } else if (of == "difference") {
    text += " as " + answer.at("device").get<std::string>() + " drew it without the host's own";
  } else {
    text += " as " + answer.at("device").get<std::string>() + " drew it (" + picture.at("variant").get<std::string>() + ")";
    if (of == "all" && beside) text += ", the host's own of the same seed, and the difference";
  }
  return text + ".\n" + answer.at("words").get<std::string>();
}

std::string audit_table(const std::vector<Json>& entries, Timestamp now, std::size_t width) {
  Table table({"number", "age", "who", "action", "subject", "detail"});
  table.less_needed({"number"});
  for (const Json& entry : entries) {
    table.add_row({std::to_string(entry.at("number").get<std::uint64_t>()),
                   age(entry.at("time").get<std::string>(), now), entry.at("who").get<std::string>(),
                   entry.at("action").get<std::string>(), entry.at("subject").get<std::string>(),
                   without_controls(shortened(entry.at("detail_text").get<std::string>(), 400))});
  }
  return table.empty() ? "nobody did anything yet\n" : table.to_string(width);
}

std::string audit_csv(const std::vector<Json>& entries) {
  std::string text = "number,time,who,action,subject,detail,before,hash\r\n";
  for (const Json& entry : entries) {
    text += std::to_string(entry.at("number").get<std::uint64_t>());
    for (const char* key : {"time", "who", "action", "subject", "detail_text", "before", "hash"}) {
      text += "," + csv_cell(entry.at(key).get<std::string>());
    }
    text += "\r\n";
  }
  return text;
}

Result<CheckedAudit> check_audit(const std::vector<Json>& entries, const std::string& noted) {
  Head head;
  if (!noted.empty()) {
    OUTCROP_TRY(read, head_from(noted));
    head = read;
  }
  fleet::monitor::ChainCheck chain;
  for (auto json = entries.rbegin(); json != entries.rend(); ++json) {
    OUTCROP_TRY(entry, entry_of(*json));
    OUTCROP_CHECK(chain.next(entry));
    if (!noted.empty() && entry.number == head.number && entry.hash.hex() != head.hash) {
      return fail(ErrorCode::untrusted, "entry " + std::to_string(entry.number) +
                                            " of the audit log is another than the one that was noted: the log was "
                                            "written anew");
    }
  }
  if (!noted.empty() && chain.number() < head.number) {
    return fail(ErrorCode::untrusted, "the audit log ends with entry " + std::to_string(chain.number()) +
                                          ", and entry " + std::to_string(head.number) +
                                          " was noted: what came after is gone (a backup that came back?)");
  }
  return CheckedAudit{chain.number(), std::to_string(chain.number()) + ":" + chain.head().hex()};
}

}  // namespace outcrop::cli
