#include "protocol/messages/status.hpp"

#include "protocol/base/json_text.hpp"
#include "protocol/base/version.hpp"
#include "protocol/messages/deployment_fields.hpp"
#include "protocol/messages/fields.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::messages {

std::string to_json(const DeviceStatus& status) {
  Json json{{"type", "status"},
            {"protocol", status.protocol},
            {"device", status.device},
            {"session", status.session},
            {"online", status.online},
            {"agent", status.agent},
            {"speaks", status.speaks},
            {"model", status.model},
            {"device_class", status.device_class},
            {"held", status.held},
            {"generation", status.generation},
            {"root_version", status.root_version},
            {"snapshot_version", status.snapshot_version},
            {"deployment", nullptr},
            {"active",
             {{"manifest", digest_or_empty(status.active_manifest)},
              {"variant", status.active_variant}}}};
  if (status.deployment) {
    Json deployment{{"state", to_string(status.deployment->state)},
                    {"reason", status.deployment->reason}};
    add_deployment(deployment, status.deployment->id);
    json["deployment"] = std::move(deployment);
  }
  if (status.protocol >= instances_since) {
    json["instance"] = status.instance;
    json["stage_version"] = status.stage_version;
  }
  return json_text(json);
}

Result<DeviceStatus> parse_status(std::string_view text) {
  OUTCROP_TRY(json, parse_object(text, status_limit, "status"));
  OUTCROP_CHECK(check_type(json, "status", "protocol"));
  ObjectReader reader(json, "status");
  reader.constant("type", "status");
  DeviceStatus status;
  status.protocol = static_cast<int>(reader.integer("protocol", 1));
  status.device = reader.name("device");
  status.session = reader.integer("session", 1);
  status.online = reader.boolean("online");
  status.agent = reader.text("agent", 63);
  status.speaks = static_cast<int>(reader.integer("speaks", 1, 1'000'000));
  status.model = reader.name("model");
  status.device_class = reader.name("device_class");
  status.held = reader.boolean("held");
  status.generation = reader.integer("generation", 0);
  status.root_version = reader.integer("root_version", 1);
  status.snapshot_version = reader.integer("snapshot_version", 0);
  if (status.protocol >= instances_since) {
    status.instance = reader.integer("instance", 1);
    status.stage_version = reader.integer("stage_version", 0);
  }
  if (!reader.null("deployment")) {
    ObjectReader inner = reader.object("deployment");
    DeviceStatus::Deployment deployment;
    deployment.id = read_deployment(inner);
    deployment.state = read_state(inner);
    deployment.reason = inner.text("reason", longest_reason);
    inner.done();
    status.deployment = std::move(deployment);
  }
  ObjectReader active = reader.object("active");
  status.active_manifest = active.digest_or_empty("manifest");
  status.active_variant = active.name_or_empty("variant");
  active.done();
  reader.done();
  OUTCROP_CHECK(reader.status());
  return status;
}

}  // namespace outcrop::messages
