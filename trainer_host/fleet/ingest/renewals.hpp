#pragma once

#include <map>
#include <string>

#include "protocol/base/clock.hpp"

namespace outcrop::fleet {

// Enrolled boards that ask for a certificate of their next key. In memory: they ask again, after each connection and
// each hour.
class Renewals {
 public:
  struct Asked {
    std::string certificate_request;  // PEM
    Timestamp since;
  };

  void asked(const std::string& device, const std::string& certificate_request, Timestamp now);
  void forget(const std::string& device) { asked_.erase(device); }
  [[nodiscard]] const std::map<std::string, Asked>& all() const { return asked_; }

 private:
  std::map<std::string, Asked> asked_;
};

}  // namespace outcrop::fleet
