#include "trainer_host/fleet/ingest/layer_times.hpp"

#include <tuple>

namespace outcrop::fleet {
namespace {

std::string note_of(const trust::Sha256Digest& manifest, const std::string& device_class) {
  return "layers " + manifest.hex() + " " + device_class;
}

// Brokers and files repeat what boards said once.
bool is_newer(const messages::DeviceHeader& one, const messages::DeviceHeader& kept) {
  if (one.device == kept.device) return std::tie(one.session, one.sequence) > std::tie(kept.session, kept.sequence);
  return !one.clock_synchronised || !kept.clock_synchronised || one.time > kept.time;
}

}  // namespace

Result<std::optional<std::string>> layer_times(Registry& registry, const trust::Sha256Digest& manifest,
                                               const std::string& device_class) {
  return registry.note(note_of(manifest, device_class));
}

Status keep_layer_times(Registry& registry, const messages::Layers& layers, const Device& board) {
  if (layers.device_class != board.device_class) {
    return fail(ErrorCode::refused, "its layer times are of class '" + layers.device_class + "', and it is enrolled as '" +
                                        board.device_class + "'");
  }
  OUTCROP_TRY(release, registry.release(layers.manifest));
  if (!release) return fail(ErrorCode::not_found, "its layer times are of no release of this host");
  OUTCROP_TRY(text, layer_times(registry, layers.manifest, layers.device_class));
  if (text) {
    const auto kept = messages::parse_layers(as_bytes(*text));
    if (kept && !is_newer(layers.header, kept->header)) return fail(ErrorCode::expired, "its layer times are known already");
  }
  return registry.save_note(note_of(layers.manifest, layers.device_class), messages::to_json(layers));
}

}  // namespace outcrop::fleet
