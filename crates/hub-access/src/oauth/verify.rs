//! Signatures, by ring: the one provider of cryptography that the hub has.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind,
    crypto::{CryptoProvider, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
    signature::{self, Verifier},
};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

/// Checks, and never signs.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| Ok(Box::new(ByRing::new(*algorithm, key)?)),
    key_utils: KeyUtils::new_unimplemented(),
};

/// Has the JWT library check signatures with ring.
pub(super) fn install() {
    if PROVIDER.install_default().is_err() {
        tracing::debug!("signatures of tokens are checked as set up before");
    }
}

struct ByRing {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl ByRing {
    fn new(algorithm: Algorithm, key: &DecodingKey) -> Result<Self, Error> {
        // Else a public key could be taken for another algorithm's secret.
        if algorithm.family() != key.family() || algorithm.family() == AlgorithmFamily::Hmac {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        Ok(Self { algorithm, key: key.clone() })
    }

    fn rsa(&self, parameters: &'static RsaParameters, message: &[u8], signature: &[u8]) -> bool {
        let DecodingKeyKind::RsaModulusExponent { n, e } = self.key.kind() else { return false };
        RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
    }

    fn point(&self, algorithm: &'static dyn VerificationAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        let Ok(key) = self.key.try_get_as_bytes() else { return false };
        UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
    }
}

impl Verifier<Vec<u8>> for ByRing {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let good = match self.algorithm {
            Algorithm::RS256 => self.rsa(&RSA_PKCS1_2048_8192_SHA256, message, signature),
            Algorithm::RS384 => self.rsa(&RSA_PKCS1_2048_8192_SHA384, message, signature),
            Algorithm::RS512 => self.rsa(&RSA_PKCS1_2048_8192_SHA512, message, signature),
            Algorithm::PS256 => self.rsa(&RSA_PSS_2048_8192_SHA256, message, signature),
            Algorithm::PS384 => self.rsa(&RSA_PSS_2048_8192_SHA384, message, signature),
            Algorithm::PS512 => self.rsa(&RSA_PSS_2048_8192_SHA512, message, signature),
            Algorithm::ES256 => self.point(&ECDSA_P256_SHA256_FIXED, message, signature),
            Algorithm::ES384 => self.point(&ECDSA_P384_SHA384_FIXED, message, signature),
            Algorithm::EdDSA => self.point(&ED25519, message, signature),
            _ => false,
        };
        if good { Ok(()) } else { Err(signature::Error::new()) }
    }
}

impl JwtVerifier for ByRing {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

    use super::*;

    /// Modulus of an RSA key of 2048 bits whose private half was thrown away; its exponent is 65537.
    const MODULUS: &str = "zdpbOuN2nX7skBvWHd-yM-fRgRsFVLbrrK_U6BOtaoo7G5jtN_KioC-oewOpAGdfAG7rUZfYsbCpBtZBIAPKRY2cW9QVKMyC\
         yCTSnPmuJhuWYLIjyDj-W1NA9NeFBsoKWeOxNGMXNGiGgSJ4FWSZRR2RB-posRJsmRRPYcS3VAvu5CP344LK-\
         RCa32QqplKzlx71cdK_8TQWbuwr8dzsRiClzpRJp-LlkBs2RpdMF6Mw1sgPAOir9QLA96R7Ys0fxQCMU1ji9eDl7XbcZ-\
         gNm2um9EXKsQPQ8Upo62rQs0ZKqf563x4o_4OFTdxNX2nz_RZ8DlQo6STm4FrNJNFTbw";
    const MESSAGE: &[u8] = b"header.claims";
    /// Signatures of [`MESSAGE`] by that key, made with OpenSSL.
    const SIGNATURES: [(Algorithm, &str); 6] = [
        (
            Algorithm::RS256,
            "ZIX_P4zgjjM35dBup2wHx66xOZ7skEQz3rOgWkcogfF65FArSLJTS_l7oq0lGUCD9qVRb8HblUf3vzgDRigQ0kFx4BuznYJX\
             dQpAGvKsSAiZp81zr1H6vzVTAgR9uzwzEB3HjCiRdH7AxmK43hegmMFBWWogLIosY_j-tM7ARi1_-gLQ2bEkyZfi-kjN1l58\
             XkFTFgfKgakN88bdzClTPyU0_A-\
             O3ogwEJJHx8W3RozfuZRBcU3FOIBGmNkaHrxLLETuxhWNsaW2pM7iMvxxNn1gIGztvOA54rXw-5G__vo8U9nl-\
             HRcqmMaZJ8LATxe5hbou67k0KyD_29NmE8FwQ",
        ),
        (
            Algorithm::RS384,
            "KPMS7mAjHxBtmyGkN3b7YImlKXkLdE-szJQuBfakgycC7468Q0HSuaYGcLHixszCQfqPL18BOm2wVM5iuCMdUa4MJFKszcH3\
             sQPMx1j23ABwTSwjLLtrw368Q5DHCQMGTP8JrTsWnuETT_FhUH4bTqC8swhznVgcuZpuaWvD4dJ3Kc8mpn5jK8KnfLOOTiie\
             Sv_dxvHIEobq5clyqjYnBWGAQzNGlRuuzbX7F_f2sfP-orXXDO5CE1DlItPuffYpTcCc_RsOWPu3xd7tOumiwl5GRL_gfq4a\
             NIMsZch3SAP817CkjHtUyKDtrIYica0Z49FnSREHgBOCHhfFshOY5g",
        ),
        (
            Algorithm::RS512,
            "TWmZkTsPG7wjjG6TT1Wl0IsCwP9JuH4452Mfk0jFknEDh8Q5txNpQ5UD71UmUkI9Vt3R7xs2c3SmuYN3NCaCu6wom0C9SWsf\
             Gib_hDwqhUE45ss3IT7foXsMxPgakXme1C8wMN6FCzi8OSNXdvu5qUsS7yrRRbObcEmDey25cerI8Nek9Nc83ujWgwvdmrA3\
             gx5WtZGfRtc4Zayn3Zihdg6LTFyRBB3GDuXEDYQHuzrQQQHyXp-HAub_p-\
             cx33tTicbFk0G5iwyf1ylK7R_do2mgx8z4BqXC47n17GGvgPWIfOqjmbY7n4It-pQKc_8-TTJOwF97Xy_w-7xmf4pIOQ",
        ),
        (
            Algorithm::PS256,
            "MBqZSd4uZcrqw63k8yEezClboRQ-mm4dtv98MeBkd0-fLRU-LcdFi6O6VyQR9JLkrHkX_TokNg4FgyA9QITW2XKuGYvm_4Ht\
             apukZAz97iakOh3Z2o-1M7DSyRoZ7-4_SAB0l3qVACvrCew2I44FKbI-RrKFzYcDd8zcPgwMUu_btpI7UlJgNaDSuhweZa9p\
             aEnkZinFzrxypTInvernJnHbznTs8QNefEkekjbLgulZVUBl3VI6d_RLxYoxdG96CvohDaYJUiekJsjc3_GFaPeYgG-\
             J3hxwlo2B6_7ti62jUyEkkFUTzCYYMVG_dC8lr_x7RmT0wGf9_MPUv0h8Kw",
        ),
        (
            Algorithm::PS384,
            "yNV_mKtfOXnqImwDEtZMKEO3PFGwSVjVI7WQen3L2EhSuciOvXuAMdM7t5ANC817v4VPnu-\
             o7ekEK6t0yLABXy5W0dZ96JMBPg3y9rCE8iHfs3qLFEzpOH24BSvQVi1dXUVdUkUOJjak2OqJq_WjHDAjfLb_PKm_PYxaunt\
             3fFNaoCrEAsoM50sFxDHy5z4DpoXCwWr3yroEE-fDrOmKfZR-YtScF5JT3HfWdK6mYdPl0kSd5BaJtjDCPwPj8aFFZMVdAuc\
             CA0PTSqWkTyzZjt2lwHtKKi2WA-74b7b45SbTwNFlXDwwMlL8jbJfb9JLWKe_SiU1HWg9Xu9UHehZxw",
        ),
        (
            Algorithm::PS512,
            "kMkVaIj8NeNQpTEGkfr8SE-iznkbDRpeim473kBR5PCR2d7AWxall1pAcGgz4CWccvBOAXhbTc7NPOgRs5qovvhHGBW-\
             LXM1Wkk-uqCN3-\
             aynQznrHcCt3dnx3Q5CpQQ4v0Occh0y5jKJ0GDhgTDQdNrlFsXOGnw0Zxf24eV7LxonhWeTJWL8R3famJDQpr9NlPhf9RRqt\
             WOXmwMM-oLbgLklJklhyRx3M81L6uQvy5AZcxOgIYX91lbsFae_R7OV0NS_0Cipi7GUGKBXgdWyk9hptetAuy166Jb7J5PBB\
             V9Gaaxj6DIu7yLfYhU3uER7e9rauUJU6pGzDsc78v6SQ",
        ),
    ];

    fn is_good(algorithm: Algorithm, message: &[u8], signature: &Vec<u8>) -> bool {
        let key = DecodingKey::from_rsa_components(MODULUS, "AQAB").expect("a key");
        ByRing::new(algorithm, &key).expect("of the family").verify(message, signature).is_ok()
    }

    #[test]
    fn rsa_signatures_are_good_for_their_message_and_algorithm_only() {
        for (algorithm, signature) in SIGNATURES {
            let mut signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64");
            assert!(is_good(algorithm, MESSAGE, &signature), "{algorithm:?}");
            assert!(!is_good(algorithm, b"header.claimz", &signature), "{algorithm:?} of another message");
            for (other, _) in SIGNATURES.into_iter().filter(|(other, _)| *other != algorithm) {
                assert!(!is_good(other, MESSAGE, &signature), "{algorithm:?} as {other:?}");
            }
            signature[17] ^= 1;
            assert!(!is_good(algorithm, MESSAGE, &signature), "{algorithm:?} altered");
        }
    }

    #[test]
    fn a_key_is_no_other_algorithms_secret() {
        let key = DecodingKey::from_rsa_components(MODULUS, "AQAB").expect("a key");
        for algorithm in [Algorithm::HS256, Algorithm::ES256, Algorithm::EdDSA] {
            assert!(ByRing::new(algorithm, &key).is_err(), "{algorithm:?}");
        }
    }
}
