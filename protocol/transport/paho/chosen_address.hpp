#pragma once

#include <string>

namespace outcrop::transport {

// Which address Paho connects to. Paho takes a name, and must: the broker's certificate is judged
// by it. But it looks the name up on the one thread that serves all its clients, without a deadline,
// holding the lock that every call into it takes, and then tries a single address, of IPv4 where
// there is one. So this process has a getaddrinfo of its own, which the loader finds before libc's:
// while a ChosenAddress lives, Paho's question for `name` (the only one without a service) is
// answered with `address` at once. Every other question goes to libc. Paho also forgets the zone of
// a link-local address ("fe80::5%eth0"), without which no connection is to be had: the connect() of
// this process gives it back. Thread-safe.
class ChosenAddress {
 public:
  ChosenAddress(std::string name, std::string address);
  ~ChosenAddress();
  ChosenAddress(const ChosenAddress&) = delete;
  ChosenAddress& operator=(const ChosenAddress&) = delete;

 private:
  std::string name_;
  std::string address_;
};

}  // namespace outcrop::transport
