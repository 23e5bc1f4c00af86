#include "agent/slots/installed_json.hpp"

namespace outcrop::agent {

messages::Json to_json(const std::optional<Installed>& installed) {
  if (!installed) return nullptr;
  return {{"manifest", installed->manifest.hex()},
          {"size", installed->manifest_size.value()},
          {"variant", installed->variant}};
}

std::optional<Installed> read_installed(messages::ObjectReader& reader, std::string_view key) {
  if (reader.null(key)) return std::nullopt;
  messages::ObjectReader object = reader.object(key);
  Installed installed;
  installed.manifest = object.digest("manifest");
  installed.manifest_size = object.size("size");
  installed.variant = object.name("variant");
  object.done();
  return installed;
}

}  // namespace outcrop::agent
