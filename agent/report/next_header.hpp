#pragma once

#include <string>

#include "agent/report/outbox.hpp"
#include "agent/verify/metadata_store.hpp"
#include "protocol/messages/device_message.hpp"

namespace outcrop::agent {

// Of the next message that the board signs: it takes the next number.
[[nodiscard]] inline messages::DeviceHeader next_header(const std::string& device, Outbox& outbox, const MetadataStore& metadata,
                                                        int protocol) {
  messages::DeviceHeader header;
  header.protocol = protocol;
  header.device = device;
  header.session = outbox.session();
  header.sequence = outbox.next_sequence();
  header.time = metadata.now();
  header.clock_synchronised = metadata.clock_synchronised();
  return header;
}

}  // namespace outcrop::agent
