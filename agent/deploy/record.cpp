#include "agent/deploy/record.hpp"

#include "agent/deploy/transitions.hpp"
#include "agent/slots/installed_json.hpp"
#include "protocol/messages/deployment_fields.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::agent {
namespace {

using messages::Json;
using messages::ObjectReader;

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
  Json json{{"offer", messages::to_json(deployment.offer)},
            {"cancel", deployment.cancel ? messages::to_json(*deployment.cancel) : std::string()},
            {"state", messages::to_string(told_apart(deployment.state))},
            {"reason", deployment.reason},
            {"awaits_owner", deployment.awaits_owner},
            {"approved", deployment.approved},
            {"budget_left", deployment.budget_left.value()},
            {"variant", deployment.variant},
            {"before", to_json(deployment.before)},
            {"crashes", deployment.crashes},
            {"power_cuts", deployment.power_cuts},
            {"soaked_ms", deployment.soaked.count()},
            {"variants", variants_to_text(deployment)}};
  // Not written where it says nothing: an earlier agent that is installed again reads all but that.
  if (deployment.awaits_limits) json["awaits_limits"] = true;
  return json;
}

Deployment::Counts read_counts(ObjectReader reader) {
  Deployment::Counts counts;
  for (const std::string& state : reader.keys(32)) counts[state] = reader.integer(state, 0);
  reader.done();
  return counts;
}

Result<Deployment> read_deployment(ObjectReader& reader, WrittenBy by) {
  Deployment deployment;
  const std::string offer = reader.lines("offer", messages::offer_limit.value());
  const std::string cancel = reader.lines("cancel", messages::offer_limit.value());
  deployment.state = told_apart(messages::read_state(reader));
  deployment.reason = reader.text("reason", messages::longest_reason);
  deployment.awaits_owner = reader.boolean("awaits_owner");
  if (reader.has("awaits_limits")) deployment.awaits_limits = reader.boolean("awaits_limits");
  deployment.approved = reader.boolean("approved");
  deployment.budget_left = reader.size("budget_left");
  deployment.variant = reader.name_or_empty("variant");
  deployment.before = read_installed(reader, "before");
  deployment.crashes = read_counts(reader.object("crashes"));
  if (by == WrittenBy::this_agent) {
    deployment.power_cuts = read_counts(reader.object("power_cuts"));
    deployment.soaked = std::chrono::milliseconds(reader.integer("soaked_ms", 0));
  }
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

}  // namespace

messages::DeploymentId Deployment::id() const {
  return {offer.rollout, offer.generation, offer.manifest};
}

Installed Deployment::target() const {
  return {offer.manifest, offer.manifest_size, variant};
}

Json to_json(const Record& record) {
  return {{"generation", record.generation},
          {"held", record.held},
          {"held_by", record.held_by},
          {"stopped", record.stopped},
          {"boot", record.boot},
          {"deployment",
           record.deployment ? deployment_to_json(*record.deployment) : Json(nullptr)}};
}

Result<Record> read_record(ObjectReader& reader, WrittenBy by) {
  Record record;
  record.generation = reader.integer("generation", 0);
  record.held = reader.boolean("held");
  record.held_by = reader.text("held_by");
  record.stopped = reader.boolean("stopped");
  if (by == WrittenBy::this_agent) record.boot = reader.text("boot");
  if (!reader.null("deployment")) {
    ObjectReader deployment = reader.object("deployment");
    OUTCROP_TRY(read, read_deployment(deployment, by));
    record.deployment = std::move(read);
  }
  OUTCROP_CHECK(reader.status());
  return record;
}

std::uint64_t generation_in(const Json& document) {
  const auto generation = document.find("generation");
  const bool told = generation != document.end() && generation->is_number_unsigned();
  return told ? generation->get<std::uint64_t>() : 0;
}

}  // namespace outcrop::agent
