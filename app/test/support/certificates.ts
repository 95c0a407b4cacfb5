/** Certificates for the application's tests are made where those of the stack's are. */
export { type Made, makeCertificate } from "../../../tests/support/certificates.ts";
