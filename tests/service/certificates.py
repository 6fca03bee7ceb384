"""Certificates for tests, made with the program openssl: an authority, an intermediate one, and what they sign."""
import os
import ssl
import subprocess


def openssl(*arguments, stdin=b''):
    return subprocess.run(['openssl', *map(str, arguments)], input=stdin, capture_output=True, check=True).stdout


def make_key(path, kind='ec'):
    options = {'ec': ('-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'),
               'rsa': ('-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'),
               'weak': ('-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024')}
    openssl('genpkey', *options[kind], '-out', path)
    os.chmod(path, 0o600)


class Authority:
    """Signs certificates for localhost. `root` is the file that clients trust."""

    def __init__(self, folder):
        self.folder = folder
        self.root = os.path.join(folder, 'root.pem')
        self._key = os.path.join(folder, 'root.key')
        make_key(self._key)
        openssl('req', '-x509', '-new', '-key', self._key, '-subj', '/CN=test root', '-days', '30', '-addext',
                'keyUsage = critical, keyCertSign, cRLSign', '-out', self.root)

    def sign(self, name, kind='ec', begin=None, end=None, signer=None, authority=False, common_name='localhost'):
        """Returns (certificate, key). `begin` and `end` are YYYYMMDDHHMMSSZ; `signer` is such a pair."""
        certificate, key, request, config, index = (os.path.join(self.folder, f'{name}.{end_}') for end_ in
                                                    ('pem', 'key', 'csr', 'conf', 'index'))
        signer = signer or (self.root, self._key)
        make_key(key, kind)
        openssl('req', '-new', '-key', key, '-subj', f'/CN={common_name}', '-out', request)
        extensions = ('basicConstraints = critical, CA:true\nkeyUsage = critical, keyCertSign, cRLSign\n'
                      'subjectKeyIdentifier = hash' if authority else 'subjectAltName = DNS:localhost, IP:127.0.0.1')
        extensions += '\nauthorityKeyIdentifier = keyid'
        with open(config, 'w', encoding='ascii') as file:
            file.write(f'[ca]\ndefault_ca = own\n[own]\ndatabase = {index}\nserial = {index}.serial\n'
                       f'new_certs_dir = {self.folder}\ndefault_md = sha256\npolicy = any\nx509_extensions = ext\n'
                       f'rand_serial = yes\nunique_subject = no\n[any]\ncommonName = supplied\n[ext]\n{extensions}\n')
        with open(index, 'w', encoding='ascii'):
            pass
        times = ['-startdate', begin or '20200101000000Z', '-enddate', end or '20491231235959Z']
        openssl('ca', '-batch', '-notext', '-config', config, '-in', request, '-cert', signer[0], '-keyfile', signer[1],
                '-out', certificate, *times)
        return certificate, key

    def client(self, **attributes):
        """Returns the ssl.SSLContext of a client that trusts only this authority."""
        context = ssl.create_default_context(cafile=self.root)
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default since Python 3.13
        for name, value in attributes.items():
            setattr(context, name, value)
        return context
