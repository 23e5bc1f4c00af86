#include "trainer_host/trainer/weights/pickle_opcodes.hpp"

#include <array>
#include <cstdio>
#include <string_view>
#include <utility>

namespace outcrop::weights {

std::string opcode_name(Opcode opcode) {
  static constexpr std::array<std::pair<unsigned char, std::string_view>, 33> refused{{
      {'0', "POP"},          {'1', "POP_MARK"},       {'2', "DUP"},
      {'F', "FLOAT"},        {'I', "INT"},            {'L', "LONG"},
      {'P', "PERSID"},       {'S', "STRING"},         {'T', "BINSTRING"},
      {'U', "SHORT_BINSTRING"}, {'V', "UNICODE"},     {'d', "DICT"},
      {'g', "GET"},          {'i', "INST"},           {'l', "LIST"},
      {'o', "OBJ"},          {'p', "PUT"},            {'B', "BINBYTES"},
      {'C', "SHORT_BINBYTES"}, {0x80, "PROTO"},       {0x81, "NEWOBJ"},
      {0x82, "EXT1"},        {0x83, "EXT2"},          {0x84, "EXT4"},
      {0x8b, "LONG4"},       {0x8e, "BINBYTES8"},     {0x8f, "EMPTY_SET"},
      {0x90, "ADDITEMS"},    {0x91, "FROZENSET"},     {0x92, "NEWOBJ_EX"},
      {0x96, "BYTEARRAY8"},  {0x97, "NEXT_BUFFER"},   {0x98, "READONLY_BUFFER"},
  }};
  for (const auto& [code, name] : refused) {
    if (code == static_cast<unsigned char>(opcode)) return "opcode " + std::string(name);
  }
  std::array<char, 8> hex{};
  std::snprintf(hex.data(), hex.size(), "0x%02x", static_cast<unsigned>(opcode));
  return "byte " + std::string(hex.data()) + ", which is no opcode";
}

}  // namespace outcrop::weights
