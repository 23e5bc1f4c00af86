#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/trust/trusted_roles.hpp"
#include "trainer_host/release/signing_key.hpp"

namespace outcrop::release {

inline constexpr ByteCount signing_request_limit = ByteCount::mib(8);

// Documents that count together once enough keys have signed each of them: what travels to keys that are kept
// elsewhere, and back (SCHEMA.md, "Signing request"). As in go-tuf's staged metadata (`tuf payload`, `sign-payload`,
// `add-signatures`), but one file of all that belongs together.
class SigningRequest {
 public:
  struct Document {
    std::string kind;      // root targets revoked stage
    std::string envelope;  // with the signatures so far, none at first
    bool operator==(const Document&) const = default;
  };

  // Whose signatures count, by which document.
  struct Asked {
    trust::Signers signers;
    std::string by;  // "root version 3"
  };

  // What was signed last of the others (envelopes): only to compare with. "" where there is none.
  struct Before {
    std::string revoked;
    std::string list;  // of the model
  };

  // `root` and `targets` (envelopes) say whose signatures are asked for, unless the documents say so themselves.
  // Errors: those of what is malformed; unsupported where it is too new.
  [[nodiscard]] static Result<SigningRequest> make(std::string root, std::string targets, std::vector<Document> documents,
                                                   Before before = {});
  [[nodiscard]] static Result<SigningRequest> parse(std::string_view text);
  [[nodiscard]] std::string to_json() const;

  [[nodiscard]] const trust::TrustedRoot& root() const { return root_; }
  [[nodiscard]] const std::vector<Document>& documents() const { return documents_; }

  // Signs every document that asks for this key. Errors: refused where none does, or where the key has signed them
  // all; those of the key.
  [[nodiscard]] Status sign(const SigningKey& key);

  // Takes the signatures of a copy. Errors: refused where the copy is of other documents, or brings no signature
  // that is not here; untrusted where one does not hold, or is by a key that is not asked for. Then nothing is taken.
  [[nodiscard]] Status join(const SigningRequest& copy);

  // What is missing, a sentence for each document; empty where all is signed. untrusted as of join().
  [[nodiscard]] Result<std::vector<std::string>> missing() const;

  // What it would have its signers say, in words and whole, with what changes: nothing here is to be signed unread.
  [[nodiscard]] Result<std::string> in_words() const;

 private:
  SigningRequest(trust::TrustedRoot root, std::string targets, std::vector<Document> documents, Before before)
      : root_(std::move(root)), targets_(std::move(targets)), documents_(std::move(documents)), before_(std::move(before)) {}
  [[nodiscard]] Result<std::vector<Asked>> asked(const Document& document) const;
  [[nodiscard]] std::string_view before(std::string_view kind) const;
  [[nodiscard]] Status check_before(const Document& document) const;

  trust::TrustedRoot root_;
  std::string targets_;
  std::vector<Document> documents_;
  Before before_;
};

}  // namespace outcrop::release
