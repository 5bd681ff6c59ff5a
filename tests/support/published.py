"""What others have published, for tests of several tiers."""

#: SHA-256 of each part's complete truth table, made from the C models of EvoApproxLib v1.2022: int32, little endian, A
#: outer, both operands from -2048 upwards.
TRUTH_TABLES = {
    "2PP": "96c5cf2f47bb00d1f4b67da836f6bdaffa3ce8bd9454ce7afd968bfd36e6efc8",
    "2PQ": "b639779e6732b8998b89db779a91511b8a5db991b1d6d8241deb1ce8cff1f1b7",
    "2PR": "0bb8de1e8dfd044ff4964df0848132642fdef25e2647d40459b4f37975f878d7",
    "2PS": "4316cf1a6fd9ae60a0dc0f1bdae46821944d11a52c6532ad08ebc7d652272e31",
    "2PT": "80c03af66491a14f6d41dcfe6846b984cae00b180645528574bb4a0428af190c",
    "2QD": "abd3a65fda742ed6a0aa20269925e689f693ffe3919992d7b25ce8fe0b7a11fc",
    "2QE": "ddf6fbd05d1a6a7773dfa25cd828f18d5b36091c95aebc9b21e7874de97d1b87",
    "2QH": "6ba2f0bf7ce460f6e023690c45365e166fc8326edf79634b350a12afcf02e7d7",
    "2R5": "92f948b17a911d2b3d7c46d5e228bfe576d67b140a1fd6e21b7ae23ef06a447b",
    "2RP": "6a0f85e055066f77199cb7674e0065521a39029ca97f81d86606addb80e1469c",
    "2TE": "1b0b8fac761abcf48f6a10bd7e5dc330046535c428947936d20f594fc6f878dc",
    "34K": "3b10935bf43d9499e8046a964b325fbaf1d16154fa4a5c1e27db4ac6e8b8f610",
    "34M": "586ab60748b155625987142460ab07b950ce7e7220169b08aaefc00bd2329f7a",
    "34P": "b166938a8cc74a3279c895bc50b703e36864914b09bc5c1abd577236d86470fb",
}
