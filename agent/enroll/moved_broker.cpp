#include "agent/enroll/moved_broker.hpp"

#include <spdlog/spdlog.h>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/messages/deployment_fields.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/messages/renewal.hpp"

namespace outcrop::agent {
namespace fs = std::filesystem;
namespace {

constexpr std::uint64_t format = 1;
constexpr ByteCount longest_document = ByteCount::kib(32);

Result<MovedBroker::Told> parse(std::string_view text) {
  OUTCROP_TRY(json, messages::parse_object(text, longest_document, "broker.json"));
  messages::ObjectReader reader(json, "broker.json");
  if (reader.integer("format", 1) > format) {
    return fail(ErrorCode::unsupported, "broker.json is of a newer agent: install that one again");
  }
  MovedBroker::Told told;
  told.number = reader.integer("number", 0);
  told.counted_under = reader.digest("counted_under");
  told.starts = reader.integer("starts", 0);
  told.not_kept = reader.text("not_kept", messages::longest_reason);
  if (!reader.null("next")) {
    messages::ObjectReader next = reader.object("next");
    BrokerPlace place;
    place.host = next.text("host");
    place.port = static_cast<std::uint16_t>(next.integer("port", 1, 65'535));
    place.authority = next.lines("authority", messages::longest_certificate.value());
    next.done();
    told.next = std::move(place);
  }
  reader.done();
  OUTCROP_CHECK(reader.status());
  return told;
}

messages::Json to_json(const MovedBroker::Told& told) {
  messages::Json json{{"format", format},
                      {"number", told.number},
                      {"counted_under", told.counted_under.hex()},
                      {"starts", told.starts},
                      {"not_kept", told.not_kept},
                      {"next", nullptr}};
  if (told.next) json["next"] = {{"host", told.next->host}, {"port", told.next->port}, {"authority", told.next->authority}};
  return json;
}

}  // namespace

Result<MovedBroker::Told> MovedBroker::read() const {
  Told told;
  OUTCROP_TRY(reading, document_.read([&](const fs::path& copy) -> Status {
    OUTCROP_TRY(text, read_text_file(copy, longest_document));
    OUTCROP_TRY(parsed, parse(text));
    told = std::move(parsed);
    return {};
  }));
  if (reading.trouble) spdlog::warn("where the broker was said to be: {}", reading.trouble->message());
  return told;
}

Status MovedBroker::write(const Told& told) const {
  return document_.write(json_text(to_json(told)) + "\n");
}

Status MovedBroker::forget() const {
  for (const fs::path& file : {document_.spare(), document_.file(), next_authority()}) {
    std::error_code error;
    if (!fs::remove(file, error) && error) return fail(ErrorCode::io, "removing " + file.string() + ": " + error.message());
  }
  return sync_folder(folder_);
}

std::optional<BrokerPlace> MovedBroker::begin_trial(const BrokerPlace& present) const {
  const auto not_now = [](const Error& error) {
    spdlog::error("another place of the broker is not tried now: {}", error.message());
    return std::nullopt;
  };
  auto told = read();
  if (!told) return not_now(told.error());
  if (!told->next) return std::nullopt;
  Status done;
  if (*told->next == present) {
    done = kept();  // cut off after the enrolment said so
  } else if (told->starts >= most_starts) {
    done = give_up("it was tried by " + std::to_string(most_starts) + " starts of the agent");
  } else {
    ++told->starts;
    done = write(*told);
    if (done) done = write_file_durably(next_authority(), told->next->authority);
    if (done) return told->next;
  }
  if (!done) return not_now(done.error());
  return std::nullopt;
}

Status MovedBroker::give_up(const std::string& why) const {
  OUTCROP_TRY(told, read());
  if (!told.next) return {};
  return end_trial("its broker was said to be at " + told.next->host + ":" + std::to_string(told.next->port) +
                   ", where nobody let this board in (" + why + "): it stays with the one before");
}

Status MovedBroker::kept() const {
  return end_trial("");
}

Status MovedBroker::end_trial(const std::string& not_kept) const {
  OUTCROP_TRY(told, read());
  told.next.reset();
  told.starts = 0;
  told.not_kept = messages::as_reason(not_kept);
  return write(told);
}

}  // namespace outcrop::agent
