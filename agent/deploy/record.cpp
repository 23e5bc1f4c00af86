#include "agent/deploy/record.hpp"

#include <algorithm>

#include "agent/slots/installed_json.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/messages/deployment_fields.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::agent {
namespace {

using messages::Json;
using messages::ObjectReader;

constexpr std::uint64_t record_version = 1;
constexpr ByteCount record_limit = ByteCount::mib(1);

// The measured variants are kept in the form in which they are reported.
std::string variants_to_text(const Deployment& deployment) {
  messages::Report report;
  report.header.device = "this";
  report.deployment = deployment.id();
  report.device_class = "this";
  report.engine = "this";
  report.variants = deployment.variants;
  report.incumbent = deployment.incumbent;
  return messages::to_json(report);
}

Json deployment_to_json(const Deployment& deployment) {
  return {{"offer", messages::to_json(deployment.offer)},
          {"cancel", deployment.cancel ? messages::to_json(*deployment.cancel) : std::string()},
          {"state", messages::to_string(deployment.state)},
          {"reason", deployment.reason},
          {"awaits_owner", deployment.awaits_owner},
          {"approved", deployment.approved},
          {"budget_left", deployment.budget_left.value()},
          {"variant", deployment.variant},
          {"before", to_json(deployment.before)},
          {"crashes", deployment.crashes},
          {"variants", variants_to_text(deployment)}};
}

Result<Deployment> read_whole(ObjectReader& reader) {
  Deployment deployment;
  const std::string offer = reader.lines("offer", messages::offer_limit.value());
  const std::string cancel = reader.lines("cancel", messages::offer_limit.value());
  deployment.state = messages::read_state(reader);
  deployment.reason = reader.text("reason", messages::longest_reason);
  deployment.awaits_owner = reader.boolean("awaits_owner");
  deployment.approved = reader.boolean("approved");
  deployment.budget_left = reader.size("budget_left");
  deployment.variant = reader.name_or_empty("variant");
  deployment.before = read_installed(reader, "before");
  ObjectReader crashes = reader.object("crashes");
  for (const std::string& state : crashes.keys(32)) {
    deployment.crashes[state] = crashes.integer(state, 0);
  }
  crashes.done();
  const std::string variants = reader.lines("variants", messages::report_limit.value());
  reader.done();
  OUTCROP_CHECK(reader.status());
  OUTCROP_TRY(parsed, messages::parse_offer(offer));
  deployment.offer = std::move(parsed);
  if (!cancel.empty()) {
    OUTCROP_TRY(command, messages::parse_command(cancel));
    const auto* parsed_cancel = std::get_if<messages::Cancel>(&command);
    if (parsed_cancel == nullptr) return fail(ErrorCode::invalid_data, "record.cancel is none");
    deployment.cancel = *parsed_cancel;
  }
  OUTCROP_TRY(report, messages::parse_report(as_bytes(variants)));
  deployment.variants = std::move(report.variants);
  deployment.incumbent = std::move(report.incumbent);
  return deployment;
}

// Of a record that means nothing else; 0 where it does not tell.
std::uint64_t generation_in(std::string_view text) {
  const auto json = messages::parse_object(text, record_limit, "record");
  if (!json) return 0;
  const auto generation = json->find("generation");
  const bool told = generation != json->end() && generation->is_number_unsigned();
  return told ? generation->get<std::uint64_t>() : 0;
}

}  // namespace

messages::DeploymentId Deployment::id() const {
  return {offer.rollout, offer.generation, offer.manifest};
}

Installed Deployment::target() const {
  return {offer.manifest, offer.manifest_size, variant};
}

std::string to_json(const Record& record) {
  const Json json{
      {"version", record_version},
      {"generation", record.generation},
      {"held", record.held},
      {"held_by", record.held_by},
      {"stopped", record.stopped},
      {"deployment", record.deployment ? deployment_to_json(*record.deployment) : Json(nullptr)}};
  return json_text(json, 1);
}

Result<Record> parse_record(std::string_view text) {
  OUTCROP_TRY(json, messages::parse_object(text, record_limit, "record"));
  ObjectReader reader(json, "record");
  if (const auto version = reader.integer("version", 1); version > record_version) {
    return fail(ErrorCode::unsupported,
                "record.version is " + std::to_string(version) + ": written by a newer agent");
  }
  Record record;
  record.generation = reader.integer("generation", 0);
  record.held = reader.boolean("held");
  record.held_by = reader.text("held_by");
  record.stopped = reader.boolean("stopped");
  if (!reader.null("deployment")) {
    ObjectReader deployment = reader.object("deployment");
    OUTCROP_TRY(read, read_whole(deployment));
    record.deployment = std::move(read);
  }
  reader.done();
  OUTCROP_CHECK(reader.status());
  return record;
}

ReadRecord read_record(const std::filesystem::path& file) {
  ReadRecord read;
  std::uint64_t generation = 0;
  const auto take = [&](const std::filesystem::path& copy) -> Status {
    OUTCROP_TRY(text, read_text_file(copy, record_limit));
    auto record = parse_record(text);
    if (record) {
      read.record = std::move(*record);
      return {};
    }
    generation = std::max(generation, generation_in(text));
    return fail(record.error().context(copy.string()));
  };
  auto reading = KeptTwice(file).read(take);
  if (!reading) {
    read.status = fail(std::move(reading).error());
  } else {
    read.reading = std::move(*reading);
    const bool lost = read.reading.trouble && !read.reading.copy;
    if (lost) read.status = fail(*read.reading.trouble);
  }
  read.record.generation = std::max(read.record.generation, generation);
  return read;
}

Status write_record(const std::filesystem::path& file, const Record& record) {
  return KeptTwice(file).write(to_json(record));
}

}  // namespace outcrop::agent
